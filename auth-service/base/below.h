#ifndef DUOLU_BELOW_H
#define DUOLU_BELOW_H

/*
 * Opens root/path name by name, the last one with these flags of open(). It follows no
 * symbolic link below root, so the file is really inside root. The caller has made
 * sure that no name is "..". Returns -1 with errno on failure.
 */
int below_open(const char *root, const char *path, int flags);

#endif
