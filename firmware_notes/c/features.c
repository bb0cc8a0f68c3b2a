/* Raw samples from the standard input, features of window after window to the standard output.
 *
 *     tail -c +45 pcm.wav | ./features s16 > features.f32
 *
 * s16 are little-endian 16-bit samples, f32 samples as floats of this machine. A last window that
 * is not full is filled with zeros. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "edge_genre_frontend.h"

static eg_frontend frontend;

/* Read a sample: 1, 0 at the end, -1 if it is none. */
static int next_s16(float *sample)
{
    unsigned char bytes[2];
    const size_t got = fread(bytes, 1, sizeof bytes, stdin);
    if (got != sizeof bytes)
        return got ? -1 : 0;
    const int value = bytes[0] | bytes[1] << 8;
    *sample = (float)(value < 32768 ? value : value - 65536) / 32768.0f;
    return 1;
}

static int next_f32(float *sample)
{
    const size_t got = fread(sample, 1, sizeof *sample, stdin);
    if (got != sizeof *sample)
        return got ? -1 : 0;
    return isfinite(*sample) ? 1 : -1;
}

static int write_features(void)
{
    const float *features = eg_finish(&frontend);
    eg_reset(&frontend);
    return fwrite(features, sizeof *features, EG_FEATURES, stdout) == EG_FEATURES;
}

int main(int count, char **arguments)
{
    int (*next)(float *) = NULL;
    if (count == 2 && strcmp(arguments[1], "s16") == 0)
        next = next_s16;
    else if (count == 2 && strcmp(arguments[1], "f32") == 0)
        next = next_f32;
    if (!next) {
        fprintf(stderr, "usage: features s16|f32 < samples > features.f32\n");
        return 2;
    }
    eg_reset(&frontend);
    float sample;
    int more;
    while ((more = next(&sample)) > 0) {
        eg_accept(&frontend, &sample, 1);
        if (eg_full(&frontend) && !write_features())
            more = -2;
        if (more < 0)
            break;
    }
    if (more == -1) {
        fprintf(stderr, "features: half a sample, or one that is not a number\n");
        return 1;
    }
    if (more == -2 || (frontend.taken && !write_features()) || fflush(stdout)) {
        fprintf(stderr, "features: cannot write\n");
        return 1;
    }
    return 0;
}
