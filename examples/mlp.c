/* The network of the slides' PBT experiment, 784-128-64-10 with sigmoids, trained by stochastic gradient descent: an example
 * of a program in C that stays. It trains on whatever data the experiment names: widths of the input and output follow.
 *
 *     cc -O3 -march=native -o examples/mlp examples/mlp.c -lm
 *
 * A report is made every `iterations` iterations, 120 in the slides. The learning rate is multiplied by `decay_ratio` every
 * `decay_every` iterations, counted from where the hyperparameters began to hold. Sums are made in one order, so equal seeds
 * give equal numbers.
 */
#include "hypercurve.h"

#include <math.h>

enum { LAYERS = 3, WIDEST = 4096 };

static struct {
    hc_array x, y;
} part[3]; /* training, validation, test */
static double scale;
static int width[LAYERS + 1];            /* of the input and of each layer */
static float *weights, *gradient, *layer[LAYERS], *slope[LAYERS]; /* slope: derivatives of the loss by a layer's sums */
static size_t count;                     /* of all weights */
static int iterations, batch, decay_every, shown;
static double rate, decay_ratio;

static uint64_t mixed(uint64_t x) { /* splitmix64 of Vigna */
    x += 0x9e3779b97f4a7c15ULL;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
    return x ^ x >> 31;
}

static double uniform(uint64_t seed, uint64_t which) { return (double)(mixed(mixed(seed) + which) >> 11) / 9007199254740992.0; }

static void read_data(const char *folder) { /* once: the program stays */
    const char *names[3][2] = {{"x_train", "y_train"}, {"x_validation", "y_validation"}, {"x_test", "y_test"}};
    if (part[0].x.data)
        return;
    for (int i = 0; i < 3; i++)
        part[i].x = hc_read(folder, names[i][0]), part[i].y = hc_read(folder, names[i][1]);
    scale = hc_about(folder, "scale", 1);
    width[0] = (int)(part[0].x.size / part[0].x.shape[0]);
    width[LAYERS] = (int)hc_about(folder, "classes", 10);
}

static void make_room(void) {
    count = 0;
    for (int i = 0; i < LAYERS; i++)
        count += (size_t)(width[i] + 1) * (size_t)width[i + 1];
    weights = (float *)realloc(weights, count * sizeof *weights);
    gradient = (float *)realloc(gradient, count * sizeof *gradient);
    for (int i = 0; i < LAYERS; i++) {
        layer[i] = (float *)realloc(layer[i], (size_t)width[i + 1] * sizeof **layer);
        slope[i] = (float *)realloc(slope[i], (size_t)width[i + 1] * sizeof **slope);
    }
}

static void initialise(uint64_t seed) { /* Glorot and Bengio 2010; biases are 0 */
    float *w = weights;
    uint64_t which = 0;
    for (int i = 0; i < LAYERS; i++) {
        double limit = sqrt(6.0 / (width[i] + width[i + 1]));
        for (int j = 0; j < width[i] * width[i + 1]; j++)
            *w++ = (float)(limit * (2 * uniform(seed, which++) - 1));
        for (int j = 0; j < width[i + 1]; j++)
            *w++ = 0;
    }
}

/* Sums of one layer, weights by rows of inputs: w[input][output], then biases. */
static void sums(const float *in, int inputs, const float *w, float *out, int outputs) {
    memcpy(out, w + (size_t)inputs * (size_t)outputs, (size_t)outputs * sizeof *out);
    for (int i = 0; i < inputs; i++)
        if (in[i] != 0)
            for (int j = 0; j < outputs; j++)
                out[j] += in[i] * w[(size_t)i * (size_t)outputs + (size_t)j];
}

/* The loss of one example; *right is whether its class was found. The last layer holds probabilities afterwards. */
static double forward(int which, size_t example, float *input, int *right) {
    const float *w = weights, *in = input;
    const int label = (int)hc_at(&part[which].y, example);
    for (int i = 0; i < width[0]; i++)
        input[i] = (float)(scale * hc_at(&part[which].x, example * (size_t)width[0] + (size_t)i));
    for (int l = 0; l < LAYERS; l++) {
        sums(in, width[l], w, layer[l], width[l + 1]);
        w += (size_t)(width[l] + 1) * (size_t)width[l + 1];
        if (l < LAYERS - 1)
            for (int j = 0; j < width[l + 1]; j++)
                layer[l][j] = 1 / (1 + expf(-layer[l][j]));
        in = layer[l];
    }
    float *p = layer[LAYERS - 1], highest = p[0], total = 0;
    int best = 0;
    for (int j = 1; j < width[LAYERS]; j++)
        if (p[j] > highest)
            highest = p[j], best = j;
    for (int j = 0; j < width[LAYERS]; j++)
        total += p[j] = expf(p[j] - highest);
    for (int j = 0; j < width[LAYERS]; j++)
        p[j] /= total;
    *right = best == label;
    return -log(fmax(p[label], 1e-30));
}

static void backward(int label, const float *input) { /* adds to the gradient */
    size_t end = count;
    memcpy(slope[LAYERS - 1], layer[LAYERS - 1], (size_t)width[LAYERS] * sizeof **slope);
    slope[LAYERS - 1][label] -= 1;
    for (int l = LAYERS - 1; l >= 0; l--) {
        const int inputs = width[l], outputs = width[l + 1];
        const float *in = l ? layer[l - 1] : input, *d = slope[l], *w;
        end -= (size_t)(inputs + 1) * (size_t)outputs;
        w = weights + end;
        for (int i = 0; i < inputs; i++) {
            float *g = gradient + end + (size_t)i * (size_t)outputs, sum = 0;
            if (in[i] != 0)
                for (int j = 0; j < outputs; j++)
                    g[j] += in[i] * d[j];
            if (l) {
                for (int j = 0; j < outputs; j++)
                    sum += w[(size_t)i * (size_t)outputs + (size_t)j] * d[j];
                slope[l - 1][i] = sum * in[i] * (1 - in[i]);
            }
        }
        for (int j = 0; j < outputs; j++)
            gradient[end + (size_t)inputs * (size_t)outputs + (size_t)j] += d[j];
    }
}

static double present_rate(long iteration, long since) { return rate * pow(decay_ratio, (double)((iteration - since) / decay_every)); }

static void measure(int which, size_t most, double *loss, double *accuracy) {
    static float input[WIDEST];
    size_t n = part[which].y.size < most ? part[which].y.size : most;
    int right, hits = 0;
    *loss = 0;
    for (size_t i = 0; i < n; i++)
        *loss += forward(which, i, input, &right) / (double)n, hits += right;
    *accuracy = (double)hits / (double)n;
}

static void train(hc_program *p) {
    static float input[WIDEST];
    const long first = p->done * iterations, since = p->since * iterations;
    double loss = 0, val_loss, val_accuracy, test_loss = NAN, test_accuracy = NAN;
    int right;
    for (long t = first; t < first + iterations; t++) {
        const float step = (float)(present_rate(t, since) / batch);
        memset(gradient, 0, count * sizeof *gradient);
        for (int i = 0; i < batch; i++) {
            uint64_t which = (uint64_t)t * (uint64_t)batch + (uint64_t)i;
            size_t example = (size_t)(uniform(p->seed + (1ULL << 32), which) * (double)part[0].y.size);
            loss += forward(0, example, input, &right) / ((double)batch * iterations);
            backward((int)hc_at(&part[0].y, example), input);
        }
        for (size_t i = 0; i < count; i++)
            weights[i] -= step * gradient[i];
    }
    const int end = ++p->done == p->epochs;
    measure(1, end ? SIZE_MAX : (size_t)shown, &val_loss, &val_accuracy);
    if (end)
        measure(2, SIZE_MAX, &test_loss, &test_accuracy);
    hc_report(p, "loss", loss, "val_loss", val_loss, "val_accuracy", val_accuracy, "test_loss", test_loss, "test_accuracy",
              test_accuracy, "now_learning_rate", present_rate(first + iterations, since), NULL);
}

int main(void) {
    hc_program p;
    hc_open(&p, 1);
    for (;;) {
        switch (hc_next(&p)) {
        case HC_BEGIN:
            if (!p.data)
                hc_fail(&p, "the experiment names no data");
            read_data(p.data);
            if (width[0] > WIDEST)
                hc_fail(&p, "examples of more than 4096 numbers");
            rate = hc_number(&p, "learning_rate", 0.01);
            decay_ratio = hc_number(&p, "decay_ratio", 1);
            decay_every = (int)hc_number(&p, "decay_every", 20);
            iterations = (int)hc_number(&p, "iterations", 120);
            batch = (int)hc_number(&p, "batch_size", 32);
            shown = (int)hc_number(&p, "fitness_samples", 1000); /* of the validation part, but at the end */
            width[1] = (int)hc_number(&p, "units_1", 128);
            width[2] = (int)hc_number(&p, "units_2", 64);
            make_room();
            if (p.bytes)
                hc_load(&p, weights, count * sizeof *weights);
            else
                initialise(p.seed);
            break;
        case HC_TRAIN:
            train(&p);
            break;
        case HC_SAVE:
            hc_save(&p, weights, count * sizeof *weights);
            break;
        default:
            return 0;
        }
    }
}
