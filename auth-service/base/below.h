#ifndef DUOLU_BELOW_H
#define DUOLU_BELOW_H

/*
 * Opens root/path name by name, the last with these flags of open(). It follows no
 * symbolic link below root, so the file is really inside root. The caller has made
 * sure that no name is "..". -1 with errno.
 */
int below_open(const char *root, const char *path, int flags);

#endif
