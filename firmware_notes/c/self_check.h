/* Whether a board computes the golden features: for a test on the board itself. */
#ifndef EDGE_GENRE_SELF_CHECK_H
#define EDGE_GENRE_SELF_CHECK_H

#include "edge_genre_frontend.h"

/* Feed the music of golden_music.h (`edge-genre export MODEL --golden FOLDER`) to a front end, which
 * is reset before and after. Returns 1 if every feature is within the tolerance, else 0, and the
 * largest difference. It costs flash, not RAM: 132 kB for 3 s at 22,050 Hz. */
int eg_self_check(eg_frontend *frontend, float *largest);

#endif
