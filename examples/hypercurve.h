/* hypercurve.h: what a program in C or C++ needs to be tuned by hypercurve. One file, C99 or C++, POSIX; copy it beside yours.
 *
 *     hc_program p;
 *     hc_open(&p, 1);                            1: it can save its state; 0: it cannot
 *     for (;;)
 *         switch (hc_next(&p)) {
 *         case HC_BEGIN:                         a trial begins, or goes on from a state
 *             rate = hc_number(&p, "rate", 0.1);     its hyperparameters, p.seed, p.epochs, p.data, ...
 *             if (p.bytes) hc_load(&p, weights, sizeof weights);
 *             else initialise(weights, p.seed);
 *             break;
 *         case HC_TRAIN:                         train until the next report, and make it
 *             loss = train(...);
 *             hc_report(&p, "loss", loss, "val_accuracy", accuracy, NULL);
 *             break;
 *         case HC_SAVE: hc_save(&p, weights, sizeof weights); break;
 *         case HC_END: return 0;
 *         }
 *
 * The experiment says `model: {command: [./program], stays: true}`; docs/models.md describes the protocol. What the program
 * prints, on standard output too, goes to the trial's log. hc_fail ends the program, and fails its trial with a reason.
 *
 * hc_read reads the prepared data; hc_option reads arguments such as --data=FOLDER. Include this file before all others.
 */
#ifndef HYPERCURVE_H
#define HYPERCURVE_H

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HC_END, HC_BEGIN, HC_TRAIN, HC_SAVE };

typedef struct {
    uint64_t seed;     /* of the trial: at least 0 and below 2^31; all that is random should follow from it */
    long epochs;       /* reports of the whole training */
    long done;         /* how many there have been */
    long since;        /* after how many of them these hyperparameters began to hold; schedules count from there */
    long trial, repeat; /* their numbers, from 0 */
    int threads;       /* how many may be used */
    size_t bytes;      /* of the state that the trial goes on from; 0: it begins */
    const char *data;  /* the folder of the prepared data; NULL without any */
    FILE *out;         /* where answers go */
    char *line, *begin, *folder; /* the last request, the last that began a trial, memory for `data` */
    size_t room;
} hc_program;

typedef struct {
    const void *data; /* mapped from the file: processes share it */
    char type;        /* 'B' unsigned bytes, 'f' float, 'd' double, 'i' int32_t, 'l' int64_t */
    int dimensions;
    size_t shape[8], size; /* size: of all numbers */
} hc_array;

/* Values in JSON. */

static inline const char *hc_skip_(const char *at) {
    while (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r' || *at == ',' || *at == ':')
        at++;
    return at;
}

static inline const char *hc_past_(const char *at) { /* the end of a value */
    int depth = 0;
    do {
        if (*at == '"') {
            for (at++; *at && *at != '"'; at++)
                if (*at == '\\' && at[1])
                    at++;
            if (*at)
                at++;
        } else if (*at == '{' || *at == '[') {
            depth++, at++;
        } else if (*at == '}' || *at == ']') {
            depth--, at++;
        } else if (depth) {
            at++;
        } else {
            while (*at && !strchr(",}] \n", *at))
                at++;
        }
    } while (depth > 0 && *at);
    return at;
}

/* The value of a key of a JSON object; NULL if it has no such key. */
static inline const char *hc_value(const char *object, const char *name) {
    size_t length = strlen(name);
    if (!object || *object != '{')
        return NULL;
    for (const char *at = hc_skip_(object + 1); *at == '"';) {
        const char *key = at + 1, *end = hc_past_(at);
        const char *value = hc_skip_(end);
        if ((size_t)(end - key) == length + 1 && !strncmp(key, name, length))
            return value;
        at = hc_skip_(hc_past_(value));
    }
    return NULL;
}

static inline double hc_double_(const char *value, double otherwise) {
    if (!value || !strncmp(value, "null", 4))
        return otherwise;
    if (!strncmp(value, "true", 4) || !strncmp(value, "false", 5))
        return *value == 't';
    return strtod(value, NULL);
}

static inline char *hc_string_(const char *value) { /* memory of its own, escapes of JSON resolved, \u as UTF-8 */
    if (!value || *value != '"')
        return NULL;
    char *text = (char *)malloc(strlen(value) + 1), *to = text;
    for (const char *at = value + 1; *at && *at != '"'; at++) {
        if (*at != '\\') {
            *to++ = *at;
        } else if (*++at != 'u') {
            const char *from = "bfnrt", *found = strchr(from, *at);
            *to++ = found ? "\b\f\n\r\t"[found - from] : *at;
        } else {
            unsigned code = 0, low = 0;
            sscanf(at + 1, "%4x", &code), at += 4;
            if (code >> 10 == 0x36 && at[1] == '\\' && sscanf(at + 3, "%4x", &low) == 1)
                code = 0x10000 + ((code & 0x3ff) << 10) + (low & 0x3ff), at += 6;
            int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
            *to++ = (char)(more ? (0xff00 >> (more + 1) & 0xff) | code >> 6 * more : code);
            while (more--)
                *to++ = (char)(0x80 | (code >> 6 * more & 0x3f));
        }
    }
    *to = 0;
    return text;
}

/* What is answered. */

/* End, and fail the trial with a reason. */
#ifdef __GNUC__
__attribute__((noreturn))
#endif
static inline void hc_fail(hc_program *p, const char *reason) {
    fputs("{\"error\": \"", p->out);
    for (; *reason; reason++) {
        if (*reason == '"' || *reason == '\\')
            fputc('\\', p->out);
        fputc((unsigned char)*reason < ' ' ? ' ' : *reason, p->out);
    }
    fputs("\"}\n", p->out);
    fflush(p->out);
    exit(2);
}

/* Report metrics: names and doubles in turn, NULL at the end. NaN says that a metric has no value. */
static inline void hc_report(hc_program *p, ...) {
    va_list all;
    const char *name, *comma = "{";
    va_start(all, p);
    while ((name = va_arg(all, const char *))) {
        fprintf(p->out, "%s\"%s\": %.17g", comma, name, va_arg(all, double));
        comma = ", ";
    }
    va_end(all);
    fputs("}\n", p->out);
    fflush(p->out);
}

/* Give the state. */
static inline void hc_save(hc_program *p, const void *state, size_t bytes) {
    fprintf(p->out, "{\"bytes\": %zu}\n", bytes);
    fwrite(state, 1, bytes, p->out);
    fflush(p->out);
}

/* Take the state that a trial goes on from. */
static inline void hc_load(hc_program *p, void *state, size_t bytes) {
    if (bytes != p->bytes || fread(state, 1, bytes, stdin) != bytes)
        hc_fail(p, "the state has another size than this trial's");
    p->bytes = 0;
}

/* What is asked. */

/* Begin to speak with hypercurve. */
static inline void hc_open(hc_program *p, int saves) {
    memset(p, 0, sizeof *p);
    p->out = fdopen(dup(1), "wb");
    dup2(2, 1); /* what a library prints is no answer */
    fprintf(p->out, "{\"protocol\": 2, \"saves\": %s}\n", saves ? "true" : "false");
    fflush(p->out);
}

static inline int hc_read_line_(hc_program *p) {
    size_t length = 0;
    for (;;) {
        if (p->room - length < 2)
            p->line = (char *)realloc(p->line, p->room = 2 * p->room + 4096);
        if (!fgets(p->line + length, (int)(p->room - length), stdin))
            return 0;
        length += strlen(p->line + length);
        if (length && p->line[length - 1] == '\n')
            return 1;
    }
}

/* Wait for the next request: HC_BEGIN, HC_TRAIN, HC_SAVE, or HC_END when there are no more. */
static inline int hc_next(hc_program *p) {
    char scrap[4096];
    for (; p->bytes > 0; p->bytes -= p->bytes < sizeof scrap ? p->bytes : sizeof scrap)
        if (!fread(scrap, p->bytes < sizeof scrap ? p->bytes : sizeof scrap, 1, stdin)) /* a state that was not loaded */
            return HC_END;
    if (!hc_read_line_(p))
        return HC_END;
    const char *what = hc_value(p->line, "do");
    if (what && !strncmp(what, "\"train\"", 7))
        return HC_TRAIN;
    if (what && !strncmp(what, "\"save\"", 6))
        return HC_SAVE;
    if (!what || strncmp(what, "\"begin\"", 7))
        hc_fail(p, "asked for what this version of hypercurve.h does not know");
    free(p->begin);
    free(p->folder);
    p->begin = p->line, p->line = NULL, p->room = 0;
    p->seed = (uint64_t)hc_double_(hc_value(p->begin, "seed"), 0);
    p->epochs = (long)hc_double_(hc_value(p->begin, "epochs"), 1);
    p->done = (long)hc_double_(hc_value(p->begin, "done"), 0);
    p->since = (long)hc_double_(hc_value(p->begin, "since"), 0);
    p->trial = (long)hc_double_(hc_value(p->begin, "trial"), 0);
    p->repeat = (long)hc_double_(hc_value(p->begin, "repeat"), 0);
    p->threads = (int)hc_double_(hc_value(p->begin, "threads"), 1);
    p->bytes = (size_t)hc_double_(hc_value(p->begin, "bytes"), 0);
    p->data = p->folder = hc_string_(hc_value(p->begin, "data"));
    return HC_BEGIN;
}

/* A hyperparameter that is a number; true is 1, false 0. */
static inline double hc_number(const hc_program *p, const char *name, double otherwise) {
    return hc_double_(hc_value(hc_value(p->begin, "hyperparameters"), name), otherwise);
}

/* Whether a hyperparameter is this text. */
static inline int hc_is(const hc_program *p, const char *name, const char *text) {
    char *found = hc_string_(hc_value(hc_value(p->begin, "hyperparameters"), name));
    int same = found && !strcmp(found, text);
    free(found);
    return same;
}

/* The argument --NAME=..., or what it is otherwise; for programs that are told hyperparameters as arguments. */
static inline const char *hc_option(int count, char **arguments, const char *name, const char *otherwise) {
    size_t length = strlen(name);
    for (int i = 1; i < count; i++)
        if (!strncmp(arguments[i], "--", 2) && !strncmp(arguments[i] + 2, name, length) && arguments[i][2 + length] == '=')
            return arguments[i] + length + 3;
    return otherwise;
}

/* Prepared data: FOLDER/x_train.npy and such. */

static inline const char *hc_map_(const char *folder, const char *file, size_t *size) {
    struct stat about;
    char *path = (char *)malloc(strlen(folder) + strlen(file) + 2);
    sprintf(path, "%s/%s", folder, file);
    int handle = open(path, O_RDONLY);
    if (handle < 0 || fstat(handle, &about) || about.st_size == 0) {
        fprintf(stderr, "%s cannot be read\n", path);
        exit(2);
    }
    *size = (size_t)about.st_size;
    void *content = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, handle, 0);
    if (content == MAP_FAILED) {
        fprintf(stderr, "%s cannot be mapped into memory\n", path);
        exit(2);
    }
    close(handle);
    free(path);
    return (const char *)content;
}

/* An array of prepared data: hc_read(p.data, "x_train"). It ends the program if the file cannot be read. */
static inline hc_array hc_read(const char *folder, const char *name) {
    hc_array array;
    size_t size, start;
    char file[64], header[1024] = "";
    memset(&array, 0, sizeof array);
    snprintf(file, sizeof file, "%s.npy", name);
    const unsigned char *raw = (const unsigned char *)hc_map_(folder, file, &size);
    start = size < 12 ? 0 : raw[6] == 1 ? 10 + raw[8] + 256u * raw[9] : 12 + raw[8] + 256u * raw[9] + 65536u * raw[10];
    if (start && start <= size && !memcmp(raw, "\x93NUMPY", 6))
        snprintf(header, sizeof header, "%.*s", (int)(start - 10), (const char *)raw + 10);
    const char *type = strstr(header, "'descr': '"), *shape = strstr(header, "'shape': (");
    const char *known[] = {"|u1", "<f4", "<f8", "<i4", "<i8"};
    const size_t widths[] = {1, 4, 8, 4, 8};
    size_t width = 0;
    for (int i = 0; type && i < 5; i++)
        if (!strncmp(type + 10, known[i], 3))
            array.type = "Bfdil"[i], width = widths[i];
    array.size = 1;
    for (const char *at = shape ? shape + 10 : ")"; *at && *at != ')' && array.dimensions < 8; at += strspn(at, ", ")) {
        char *end;
        array.size *= array.shape[array.dimensions++] = (size_t)strtoull(at, &end, 10);
        at = end;
    }
    if (!width || strstr(header, "'fortran_order': True") || start + array.size * width > size) {
        fprintf(stderr, "%s/%s is no array that hypercurve has prepared\n", folder, file);
        exit(2);
    }
    array.data = raw + start;
    return array;
}

/* One number of an array, by its place among all. */
static inline double hc_at(const hc_array *array, size_t i) {
    switch (array->type) {
    case 'B': return ((const unsigned char *)array->data)[i];
    case 'f': return ((const float *)array->data)[i];
    case 'd': return ((const double *)array->data)[i];
    case 'i': return ((const int32_t *)array->data)[i];
    default: return (double)((const int64_t *)array->data)[i];
    }
}

/* A number that the data's manifest gives: "scale", which inputs are to be multiplied by, or "classes". */
static inline double hc_about(const char *folder, const char *key, double otherwise) {
    size_t size;
    const char *raw = hc_map_(folder, "manifest.json", &size);
    char *text = (char *)malloc(size + 1);
    memcpy(text, raw, size);
    text[size] = 0;
    double found = hc_double_(hc_value(text, key), otherwise);
    free(text);
    munmap((void *)raw, size);
    return found;
}

#endif
