#include "self_check.h"

#include <math.h>

#include "golden_music.h"

int eg_self_check(eg_frontend *frontend, float *largest)
{
    eg_reset(frontend);
    eg_accept_i16(frontend, golden_music_pcm, sizeof golden_music_pcm / sizeof *golden_music_pcm);
    const float *features = eg_finish(frontend);
    int right = 1;
    *largest = 0.0f;
    for (size_t i = 0; i < EG_FEATURES; i++) {
        const float difference = fabsf(features[i] - golden_music_features[i]);
        if (!(difference <= GOLDEN_MUSIC_FEATURES_TOLERANCE)) /* which NaN is not */
            right = 0;
        if (difference > *largest)
            *largest = difference;
    }
    eg_reset(frontend);
    return right;
}
