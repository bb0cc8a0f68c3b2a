#include "edge_genre_frontend.h"

#include <math.h>
#include <string.h>

#include "edge_genre_tables.h"

/* A real transform of N samples is a complex one of N / 2 points. */
#define POINTS (EG_N_FFT / 2)

/* exp(-2 pi i k / N), for k up to N / 2; the table is sin(2 pi k / N). */
#define COSINE(k) eg_sine[(k) + EG_N_FFT / 4]
#define SINE(k) eg_sine[k]

#if EG_TIME_FIRST
#define LEVEL(frame, band) ((frame) * EG_MELS + (band))
#define COEFFICIENT(frame, number) ((frame) * EG_MFCC + (number))
#else
#define LEVEL(frame, band) ((band) * EG_FRAMES + (frame))
#define COEFFICIENT(frame, number) ((number) * EG_FRAMES + (frame))
#endif

#define LEVELS ((size_t)EG_FRAMES * EG_MELS)

/* Complex transform in place: Cooley and Tukey's, two by two, after a permutation. */
static void transform(float *z)
{
    size_t reversed = 0;
    for (size_t i = 1; i < POINTS; i++) {
        size_t bit = POINTS / 2;
        for (; reversed & bit; bit /= 2)
            reversed ^= bit;
        reversed ^= bit;
        if (i < reversed) {
            const float real = z[2 * i], imaginary = z[2 * i + 1];
            z[2 * i] = z[2 * reversed];
            z[2 * i + 1] = z[2 * reversed + 1];
            z[2 * reversed] = real;
            z[2 * reversed + 1] = imaginary;
        }
    }
    for (size_t half = 1; half < POINTS; half *= 2) {
        for (size_t k = 0; k < half; k++) {
            const size_t turn = k * (POINTS / half);
            const float c = COSINE(turn), s = SINE(turn);
            for (size_t i = k; i < POINTS; i += 2 * half) {
                float *a = z + 2 * i, *b = a + 2 * half;
                const float real = b[0] * c + b[1] * s;
                const float imaginary = b[1] * c - b[0] * s;
                b[0] = a[0] - real;
                b[1] = a[1] - imaginary;
                a[0] += real;
                a[1] += imaginary;
            }
        }
    }
}

/* Powers of the bins 0 to N / 2 in place of N samples: even ones are real parts, odd ones imaginary
 * parts, and what the two have mixed is taken apart again. */
static void powers(float *work)
{
    transform(work);
    const float dc = work[0] + work[1], highest = work[0] - work[1];
    for (size_t k = 1; k < POINTS / 2; k++) {
        float *low = work + 2 * k, *high = work + 2 * (POINTS - k);
        const float even_real = 0.5f * (low[0] + high[0]), even_imaginary = 0.5f * (low[1] - high[1]);
        const float odd_real = 0.5f * (low[1] + high[1]), odd_imaginary = 0.5f * (high[0] - low[0]);
        const float real = odd_real * COSINE(k) + odd_imaginary * SINE(k);
        const float imaginary = odd_imaginary * COSINE(k) - odd_real * SINE(k);
        const float sum[2] = {even_real + real, even_imaginary + imaginary};
        const float difference[2] = {even_real - real, even_imaginary - imaginary};
        low[0] = sum[0] * sum[0] + sum[1] * sum[1];
        high[0] = difference[0] * difference[0] + difference[1] * difference[1];
    }
    work[POINTS] = work[POINTS] * work[POINTS] + work[POINTS + 1] * work[POINTS + 1];
    work[0] = dc * dc;
    for (size_t k = 1; k < POINTS; k++)
        work[k] = work[2 * k];
    work[POINTS] = highest * highest;
}

static float level(float power)
{
#if EG_LOG == EG_LOG_DB
    return EG_DECIBEL * logf(power > EG_AMIN ? power : EG_AMIN);
#elif EG_LOG == EG_LOG_NATURAL
    return logf(power + EG_AMIN);
#else
    return power;
#endif
}

/* Transform the frame that is complete, and make room for the next one. */
static void analyse(eg_frontend *frontend)
{
    float *frame = frontend->samples + 1, *work = frontend->work;
#if EG_REFLECT
    if (frontend->frame == 0) /* The sample at the far end counts nothing: the window is 0 there. */
        for (size_t k = 1; k < EG_MARGIN; k++)
            frame[EG_MARGIN - k] = frame[EG_MARGIN + k];
#endif
    work[0] = frame[0] * eg_hann[0];
    work[POINTS] = frame[POINTS] * eg_hann[POINTS];
    for (size_t i = 1; i < POINTS; i++) {
        work[i] = frame[i] * eg_hann[i];
        work[EG_N_FFT - i] = frame[EG_N_FFT - i] * eg_hann[i];
    }
    powers(work);
    const float *weight = eg_mel_weights;
    for (size_t band = 0; band < EG_MELS; band++) {
        const float *bin = work + eg_mel_first[band];
        float sum = 0.0f;
        for (size_t i = 0; i < eg_mel_count[band]; i++)
            sum += *weight++ * bin[i];
        frontend->features[LEVEL(frontend->frame, band)] = level(sum);
    }
    frontend->frame++;
#if EG_HOP <= EG_N_FFT
    memmove(frontend->samples, frontend->samples + EG_HOP,
            (1 + EG_N_FFT - EG_HOP) * sizeof *frontend->samples);
    frontend->filled = EG_N_FFT - EG_HOP;
#else
    frontend->skip = EG_HOP - EG_N_FFT;
    frontend->filled = 0;
#endif
}

static void push(eg_frontend *frontend, float sample)
{
    if (frontend->frame == EG_FRAMES)
        return;
    if (frontend->skip) {
        frontend->skip--;
        frontend->samples[0] = sample;
        return;
    }
    frontend->samples[1 + frontend->filled++] = sample;
    if (frontend->filled == EG_N_FFT)
        analyse(frontend);
}

void eg_reset(eg_frontend *frontend)
{
    memset(frontend->samples, 0, sizeof frontend->samples);
    frontend->taken = frontend->skip = frontend->frame = 0;
    frontend->filled = EG_MARGIN;
}

size_t eg_accept(eg_frontend *frontend, const float *samples, size_t count)
{
    size_t used = 0;
    while (used < count && !eg_full(frontend)) {
        push(frontend, samples[used++]);
        frontend->taken++;
    }
    return used;
}

size_t eg_accept_i16(eg_frontend *frontend, const int16_t *samples, size_t count)
{
    size_t used = 0;
    while (used < count && !eg_full(frontend)) {
        push(frontend, (float)samples[used++] * (1.0f / 32768.0f));
        frontend->taken++;
    }
    return used;
}

int eg_full(const eg_frontend *frontend)
{
    return frontend->taken == EG_WINDOW_SAMPLES;
}

/* What the whole window decides of its levels: the reference and the floor. */
static void refer(float *levels)
{
#if EG_LOG == EG_LOG_DB
    float loudest = levels[0];
    for (size_t i = 1; i < LEVELS; i++)
        loudest = levels[i] > loudest ? levels[i] : loudest;
    for (size_t i = 0; i < LEVELS; i++) {
#if EG_FLOOR
        const float floor = loudest - EG_TOP_DB;
        levels[i] = levels[i] > floor ? levels[i] : floor;
#endif
        levels[i] -= EG_REF_MAX ? loudest : EG_REF;
    }
#else
    (void)levels;
#endif
}

/* Levels to cepstral coefficients, frame by frame, in place. */
static void cepstrum(float *levels)
{
#if EG_MFCC
    for (size_t frame = 0; frame < EG_FRAMES; frame++) {
        float row[EG_MFCC];
        for (size_t number = 0; number < EG_MFCC; number++) {
            float sum = 0.0f;
            for (size_t band = 0; band < EG_MELS; band++)
                sum += eg_dct[number * EG_MELS + band] * levels[LEVEL(frame, band)];
            row[number] = sum;
        }
        for (size_t number = 0; number < EG_MFCC; number++)
            levels[COEFFICIENT(frame, number)] = row[number];
    }
#else
    (void)levels;
#endif
}

static void normalize(float *features)
{
#if EG_NORMALIZE == EG_NORMALIZE_MEAN_VARIANCE
    /* In double precision: of a constant window nothing may be left, and it would be divided by
     * nearly nothing. It is one addition a value, which a chip without such a unit has time for. */
    double sum = 0.0, squares = 0.0;
    for (size_t i = 0; i < EG_FEATURES; i++)
        sum += features[i];
    const float mean = (float)(sum / EG_FEATURES);
    for (size_t i = 0; i < EG_FEATURES; i++) {
        features[i] -= mean;
        squares += features[i] * features[i];
    }
    const float factor = 1.0f / (sqrtf((float)(squares / EG_FEATURES)) + 1e-6f);
    for (size_t i = 0; i < EG_FEATURES; i++)
        features[i] *= factor;
#elif EG_NORMALIZE == EG_NORMALIZE_MIN_MAX
    float least = features[0], most = features[0];
    for (size_t i = 1; i < EG_FEATURES; i++) {
        least = features[i] < least ? features[i] : least;
        most = features[i] > most ? features[i] : most;
    }
    const float range = most - least > 1e-6f ? most - least : 1e-6f;
    for (size_t i = 0; i < EG_FEATURES; i++)
        features[i] = (features[i] - least) / range;
#elif EG_NORMALIZE == EG_NORMALIZE_FIXED
    for (size_t i = 0; i < EG_FEATURES; i++)
        features[i] = (features[i] - EG_MEAN) / EG_SCALE;
#else
    (void)features;
#endif
}

const float *eg_finish(eg_frontend *frontend)
{
    for (; !eg_full(frontend); frontend->taken++)
        push(frontend, 0.0f);
    for (size_t i = 0; frontend->frame < EG_FRAMES; i++) {
#if EG_REFLECT
        push(frontend, frontend->samples[frontend->filled - 1 - 2 * i]);
#else
        push(frontend, 0.0f);
#endif
    }
    refer(frontend->features);
    cepstrum(frontend->features);
    normalize(frontend->features);
    return frontend->features;
}
