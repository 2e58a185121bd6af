/* For benchmarks/programs.py: a program that trains nothing and has a state of --bytes=N, by both protocols.
 * The first one's are --epochs, --until, --resume, --snapshot. */
#include "hypercurve.h"

int main(int count, char **arguments) {
    const size_t bytes = strtoull(hc_option(count, arguments, "bytes", "8"), NULL, 10);
    const char *until = hc_option(count, arguments, "until", NULL), *from = hc_option(count, arguments, "resume", "");
    int64_t *state = (int64_t *)calloc(1, bytes); /* how many reports it has made */
    hc_program p;
    if (until) {
        const char *to = hc_option(count, arguments, "snapshot", "");
        FILE *f;
        if (*from && (!(f = fopen(from, "rb")) || fread(state, 1, bytes, f) != bytes || fclose(f)))
            return 2;
        while (*state < atoi(until)) {
            printf("{\"loss\": 1, \"val_loss\": %lld}\n", (long long)++*state);
            fflush(stdout);
        }
        if (!(f = fopen(to, "wb")) || fwrite(state, 1, bytes, f) != bytes || fclose(f))
            return 2;
        return 0;
    }
    hc_open(&p, 1);
    for (;;)
        switch (hc_next(&p)) {
        case HC_BEGIN:
            if (p.bytes)
                hc_load(&p, state, bytes);
            else
                *state = 0;
            break;
        case HC_TRAIN: hc_report(&p, "loss", 1.0, "val_loss", (double)++*state, NULL); break;
        case HC_SAVE: hc_save(&p, state, bytes); break;
        default: return 0;
        }
}
