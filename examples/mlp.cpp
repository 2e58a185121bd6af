// The network of the slides' PBT experiment, 784-128-64-10 with sigmoids, trained by stochastic gradient descent: an example
// of a program in C++ that stays, with OpenMP. It trains on whatever data the experiment names.
//
//     c++ -O3 -march=native -fopenmp -o examples/mlp-cpp examples/mlp.cpp
//
// Every number is summed by one thread in one order, so any number of threads gives equal numbers. Reports, the decay of the
// learning rate and hyperparameters are those of mlp.c.
#include "hypercurve.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>
#ifdef _OPENMP
#include <omp.h>
#endif

using Numbers = std::vector<float>;

struct Part {
    hc_array x, y;
    std::size_t size() const { return y.size; }
};

struct Data {
    Part train, validation, test;
    double scale;
    int inputs, classes;

    explicit Data(const char *folder)
        : train{hc_read(folder, "x_train"), hc_read(folder, "y_train")},
          validation{hc_read(folder, "x_validation"), hc_read(folder, "y_validation")},
          test{hc_read(folder, "x_test"), hc_read(folder, "y_test")}, scale(hc_about(folder, "scale", 1)),
          inputs(static_cast<int>(train.x.size / train.x.shape[0])),
          classes(static_cast<int>(hc_about(folder, "classes", 10))) {}
};

// A dense layer of a batch: out = in · weights + biases; weights[input][output], then biases, lie in the network's block.
struct Layer {
    int inputs, outputs;
    std::size_t at; // where its weights begin

    void forward(const Numbers &all, const Numbers &in, Numbers &out, int batch) const {
        const float *w = all.data() + at, *bias = w + std::size_t(inputs) * outputs;
#pragma omp parallel for
        for (int b = 0; b < batch; b++) {
            float *row = out.data() + std::size_t(b) * outputs;
            std::copy(bias, bias + outputs, row);
            for (int i = 0; i < inputs; i++)
                if (const float x = in[std::size_t(b) * inputs + i]; x != 0)
                    for (int j = 0; j < outputs; j++)
                        row[j] += x * w[std::size_t(i) * outputs + j];
        }
    }

    // From derivatives by outputs to those by inputs, before the weights change.
    void back(const Numbers &all, const Numbers &by_out, Numbers &by_in, int batch) const {
        const float *w = all.data() + at;
#pragma omp parallel for
        for (int b = 0; b < batch; b++)
            for (int i = 0; i < inputs; i++) {
                float sum = 0;
                for (int j = 0; j < outputs; j++)
                    sum += w[std::size_t(i) * outputs + j] * by_out[std::size_t(b) * outputs + j];
                by_in[std::size_t(b) * inputs + i] = sum;
            }
    }

    void step(Numbers &all, const Numbers &in, const Numbers &by_out, int batch, float rate) const {
        float *w = all.data() + at;
#pragma omp parallel for
        for (int i = 0; i <= inputs; i++)
            for (int b = 0; b < batch; b++)
                if (const float x = i < inputs ? in[std::size_t(b) * inputs + i] : 1; x != 0)
                    for (int j = 0; j < outputs; j++)
                        w[std::size_t(i) * outputs + j] -= rate * x * by_out[std::size_t(b) * outputs + j];
    }
};

class Network {
  public:
    Numbers weights;

    Network(const std::vector<int> &widths) {
        std::size_t count = 0;
        for (std::size_t l = 0; l + 1 < widths.size(); l++) {
            layers_.push_back({widths[l], widths[l + 1], count});
            count += std::size_t(widths[l] + 1) * widths[l + 1];
        }
        weights.resize(count);
    }

    void initialise(std::uint64_t seed) { // Glorot and Bengio 2010; biases are 0
        std::mt19937_64 random(seed);
        for (const Layer &layer : layers_) {
            const double limit = std::sqrt(6.0 / (layer.inputs + layer.outputs));
            for (int k = 0; k < layer.inputs * layer.outputs; k++)
                weights[layer.at + k] = float(limit * (2 * (random() >> 11) / 9007199254740992.0 - 1));
        }
    }

    // Sums of losses and hits of examples; the last layer's activations become probabilities.
    void forward(const Data &data, const Part &part, const std::vector<std::size_t> &examples, double &loss, int &hits) {
        const int batch = int(examples.size()), depth = int(layers_.size());
        held_.resize(depth + 1);
        held_[0].resize(std::size_t(batch) * data.inputs);
        labels_.resize(batch);
        for (int b = 0; b < batch; b++) {
            labels_[b] = int(hc_at(&part.y, examples[b]));
            for (int i = 0; i < data.inputs; i++)
                held_[0][std::size_t(b) * data.inputs + i] = float(data.scale * hc_at(&part.x, examples[b] * data.inputs + i));
        }
        for (int l = 0; l < depth; l++) {
            held_[l + 1].resize(std::size_t(batch) * layers_[l].outputs);
            layers_[l].forward(weights, held_[l], held_[l + 1], batch);
            if (l + 1 < depth)
                for (float &a : held_[l + 1])
                    a = 1 / (1 + std::exp(-a));
        }
        for (int b = 0; b < batch; b++) {
            float *p = held_[depth].data() + std::size_t(b) * data.classes, total = 0;
            const float *best = std::max_element(p, p + data.classes);
            hits += best - p == labels_[b];
            const float highest = *best;
            for (int j = 0; j < data.classes; j++)
                total += p[j] = std::exp(p[j] - highest);
            for (int j = 0; j < data.classes; j++)
                p[j] /= total;
            loss -= std::log(std::max(p[labels_[b]], 1e-30f));
        }
    }

    void backward(float rate) { // of the batch that went forward
        const int batch = int(labels_.size());
        Numbers by_out = held_.back(), by_in;
        for (int b = 0; b < batch; b++)
            by_out[std::size_t(b) * layers_.back().outputs + labels_[b]] -= 1;
        for (int l = int(layers_.size()) - 1; l >= 0; l--) {
            if (l) {
                by_in.resize(held_[l].size());
                layers_[l].back(weights, by_out, by_in, batch);
                for (std::size_t k = 0; k < by_in.size(); k++)
                    by_in[k] *= held_[l][k] * (1 - held_[l][k]);
            }
            layers_[l].step(weights, held_[l], by_out, batch, rate / float(batch));
            by_out.swap(by_in);
        }
    }

  private:
    std::vector<Layer> layers_;
    std::vector<Numbers> held_; // activations of a batch, by layer, the input first
    std::vector<int> labels_;
};

static void measure(Network &network, const Data &data, const Part &part, std::size_t most, double &loss, double &accuracy) {
    const std::size_t size = std::min(part.size(), most);
    int hits = 0;
    loss = 0;
    for (std::size_t from = 0; from < size; from += 500) {
        std::vector<std::size_t> examples;
        for (std::size_t i = from; i < std::min(size, from + 500); i++)
            examples.push_back(i);
        network.forward(data, part, examples, loss, hits);
    }
    loss /= double(size), accuracy = hits / double(size);
}

static void train(hc_program &p, Network &network, const Data &data) {
    const long iterations = long(hc_number(&p, "iterations", 120)), batch = long(hc_number(&p, "batch_size", 32));
    const long first = p.done * iterations, since = p.since * iterations;
    const auto rate = [&](long t) {
        const long decays = (t - since) / long(hc_number(&p, "decay_every", 20));
        return hc_number(&p, "learning_rate", 0.01) * std::pow(hc_number(&p, "decay_ratio", 1), double(decays));
    };
    double loss = 0, val_loss, val_accuracy, test_loss = NAN, test_accuracy = NAN;
    int hits = 0;
    std::mt19937_64 random(p.seed * 1000003 + std::uint64_t(p.done)); // so that it needs no place in the state
    for (long t = first; t < first + iterations; t++) {
        std::vector<std::size_t> examples;
        for (long b = 0; b < batch; b++)
            examples.push_back(random() % data.train.size());
        network.forward(data, data.train, examples, loss, hits);
        network.backward(float(rate(t)));
    }
    const bool end = ++p.done == p.epochs;
    const std::size_t all = std::numeric_limits<std::size_t>::max();
    measure(network, data, data.validation, end ? all : std::size_t(hc_number(&p, "fitness_samples", 1000)), val_loss, val_accuracy);
    if (end)
        measure(network, data, data.test, all, test_loss, test_accuracy);
    hc_report(&p, "loss", loss / double(iterations * batch), "val_loss", val_loss, "val_accuracy", val_accuracy, "test_loss",
              test_loss, "test_accuracy", test_accuracy, "now_learning_rate", rate(first + iterations), NULL);
}

int main() {
    hc_program p;
    std::vector<Data> data;
    std::vector<Network> network;
    hc_open(&p, 1);
    for (int request; (request = hc_next(&p)) != HC_END;) {
        if (request == HC_BEGIN) {
            if (!p.data)
                hc_fail(&p, "the experiment names no data");
            if (data.empty())
                data.emplace_back(p.data); // once: the program stays
#ifdef _OPENMP
            omp_set_num_threads(p.threads);
#endif
            network.clear();
            network.push_back(Network({data[0].inputs, int(hc_number(&p, "units_1", 128)), int(hc_number(&p, "units_2", 64)),
                                       data[0].classes}));
            if (p.bytes)
                hc_load(&p, network[0].weights.data(), network[0].weights.size() * sizeof(float));
            else
                network[0].initialise(p.seed);
        } else if (request == HC_TRAIN) {
            train(p, network[0], data[0]);
        } else {
            hc_save(&p, network[0].weights.data(), network[0].weights.size() * sizeof(float));
        }
    }
    return 0;
}
