/* Logistic regression by stochastic gradient descent with momentum: an example of a program that hypercurve tunes.
 *
 *   logistic --rate=0.1 --momentum=0.9 --epochs=20 --seed=1 [--resume=FILE] [--snapshot=FILE] [--until=EPOCH]
 *
 * It draws two classes of points, trains on one part and measures another. After every epoch it prints one JSON object on a
 * line of its own and flushes it. With --snapshot it writes its state when it ends; with --resume it goes on from one; with
 * --until it ends after that epoch. All that is random follows from the seed, so going on from a snapshot gives the same
 * numbers as running through.
 *
 *   cc -O2 -o examples/logistic examples/logistic.c -lm
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INPUTS = 8, POINTS = 600, TRAIN = 400, VALIDATE = 100 };

static double x[POINTS][INPUTS];
static int y[POINTS];

struct state {
    int64_t epoch;
    double weights[INPUTS + 1];
    double velocity[INPUTS + 1];
};

static double uniform(uint64_t *stream) { /* xorshift64* of Vigna, in [0, 1) */
    *stream ^= *stream >> 12;
    *stream ^= *stream << 25;
    *stream ^= *stream >> 27;
    return (double)((*stream * 2685821657736338717ULL) >> 11) / 9007199254740992.0;
}

static uint64_t stream_of(uint64_t seed, uint64_t purpose) { return (seed * 2654435761ULL + purpose + 1) * 88172645463325252ULL | 1; }

static void draw_points(void) { /* the same points whatever the seed */
    uint64_t stream = stream_of(7, 7);
    for (int i = 0; i < POINTS; i++) {
        y[i] = uniform(&stream) < 0.5;
        for (int j = 0; j < INPUTS; j++)
            x[i][j] = 2 * uniform(&stream) - 1 + (y[i] ? 0.25 : -0.25);
    }
}

static double probability(const struct state *s, int i) {
    double sum = s->weights[INPUTS];
    for (int j = 0; j < INPUTS; j++)
        sum += s->weights[j] * x[i][j];
    return 1 / (1 + exp(-sum));
}

static void measure(const struct state *s, int from, int to, double *loss, double *accuracy) {
    *loss = *accuracy = 0;
    for (int i = from; i < to; i++) {
        double p = fmin(fmax(probability(s, i), 1e-12), 1 - 1e-12);
        *loss -= log(y[i] ? p : 1 - p) / (to - from);
        *accuracy += ((p > 0.5) == y[i]) / (double)(to - from);
    }
}

static void train_epoch(struct state *s, double rate, double momentum, uint64_t seed) {
    uint64_t stream = stream_of(seed, 100 + (uint64_t)s->epoch);
    for (int step = 0; step < TRAIN; step++) {
        int i = (int)(uniform(&stream) * TRAIN);
        double error = probability(s, i) - y[i];
        for (int j = 0; j <= INPUTS; j++) {
            s->velocity[j] = momentum * s->velocity[j] - rate * error * (j < INPUTS ? x[i][j] : 1);
            s->weights[j] += s->velocity[j];
        }
    }
    s->epoch++;
}

static const char *option(int count, char **arguments, const char *name, const char *otherwise) {
    size_t length = strlen(name);
    for (int i = 1; i < count; i++)
        if (!strncmp(arguments[i], name, length) && arguments[i][length] == '=')
            return arguments[i] + length + 1;
    return otherwise;
}

static int file(const char *path, const char *mode, struct state *s) { /* 1 if the whole state was read or written */
    FILE *f = fopen(path, mode);
    if (!f)
        return 0;
    size_t done = *mode == 'r' ? fread(s, sizeof *s, 1, f) : fwrite(s, sizeof *s, 1, f);
    return fclose(f) == 0 && done == 1;
}

int main(int count, char **arguments) {
    double rate = atof(option(count, arguments, "--rate", "0.1"));
    double momentum = atof(option(count, arguments, "--momentum", "0"));
    uint64_t seed = strtoull(option(count, arguments, "--seed", "0"), NULL, 10);
    const char *epochs = option(count, arguments, "--epochs", "10");
    int until = atoi(option(count, arguments, "--until", epochs));
    const char *resume = option(count, arguments, "--resume", ""), *snapshot = option(count, arguments, "--snapshot", "");
    struct state s;

    memset(&s, 0, sizeof s);
    uint64_t stream = stream_of(seed, 1);
    for (int j = 0; j <= INPUTS; j++)
        s.weights[j] = 2 * uniform(&stream) - 1;
    if (*resume && !file(resume, "rb", &s)) {
        fprintf(stderr, "logistic: cannot read the snapshot %s\n", resume);
        return 2;
    }
    draw_points();
    while (s.epoch < until) {
        double loss, accuracy, val_loss, val_accuracy, test_loss, test_accuracy;
        train_epoch(&s, rate, momentum, seed);
        measure(&s, 0, TRAIN, &loss, &accuracy);
        measure(&s, TRAIN, TRAIN + VALIDATE, &val_loss, &val_accuracy);
        measure(&s, TRAIN + VALIDATE, POINTS, &test_loss, &test_accuracy);
        printf("{\"loss\": %.17g, \"val_loss\": %.17g, \"val_accuracy\": %.17g, \"test_loss\": %.17g, \"test_accuracy\": %.17g}\n",
               loss, val_loss, val_accuracy, test_loss, test_accuracy);
        fflush(stdout);
    }
    if (*snapshot && !file(snapshot, "wb", &s)) {
        fprintf(stderr, "logistic: cannot write the snapshot %s\n", snapshot);
        return 2;
    }
    return 0;
}
