/* link.h - `sandgate link`: signed links from the command line. */
#ifndef LINK_H
#define LINK_H

/* The arguments behind the word `link`.  Returns the exit status: 0, 1 (it
 * could not be done), 2 (wrong arguments). */
int link_command(int argc, char **argv);

#endif
