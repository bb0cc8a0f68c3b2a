/* Features of a window of samples, in plain C99: log-mel spectrograms and MFCC.
 *
 * What is computed is fixed by edge_genre_spec.h and edge_genre_tables.h, which
 * `edge-genre export MODEL --c-tables FOLDER` writes. Nothing is allocated and no window of samples
 * is kept: a frame is transformed as soon as its last sample is there.
 *
 *     static eg_frontend frontend;
 *     eg_reset(&frontend);
 *     while (!eg_full(&frontend))
 *         eg_accept_i16(&frontend, block, count);
 *     const float *features = eg_finish(&frontend);
 */
#ifndef EDGE_GENRE_FRONTEND_H
#define EDGE_GENRE_FRONTEND_H

#include <stddef.h>
#include <stdint.h>

#include "edge_genre_spec.h"

/* All the memory there is; its size is known when it is compiled. */
typedef struct {
    float features[EG_FRAMES * EG_MELS]; /* levels as they come, features in the end */
    float samples[1 + EG_N_FFT];         /* of the frame to come, and the one before them */
    float work[EG_N_FFT];                /* a frame on its way from samples to powers */
    size_t taken;                        /* samples of the window */
    size_t filled;                       /* samples of the frame to come */
    size_t skip;                         /* samples before its first */
    size_t frame;                        /* frames that are done */
} eg_frontend;

/* Begin a window. */
void eg_reset(eg_frontend *frontend);

/* Take a window's next samples, full scale 1 and finite. Returns how many were taken: fewer than
 * count when the window is full; the others belong to the next one. */
size_t eg_accept(eg_frontend *frontend, const float *samples, size_t count);

/* The same for 16-bit samples, full scale 32768. */
size_t eg_accept_i16(eg_frontend *frontend, const int16_t *samples, size_t count);

/* Whether the window has all its samples. */
int eg_full(const eg_frontend *frontend);

/* End a window, with zeros for samples that it does not have. Returns EG_FEATURES values, laid out
 * as the model's input, which stay until eg_reset. */
const float *eg_finish(eg_frontend *frontend);

#endif
