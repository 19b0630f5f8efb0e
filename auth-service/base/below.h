#ifndef DUOLU_BELOW_H
#define DUOLU_BELOW_H

/*
 * Opens root/path name by name, the last with these flags of open(). None below
 * root may be a symbolic link: what is asked for there is there. That no name
 * is ".." the caller has seen to. -1 with errno.
 */
int below_open(const char *root, const char *path, int flags);

#endif
