// The response of a calorimeter: how many events are expected in bins of the measured energy, and
// how that moves, by forward-mode dual numbers. Run in a folder of .npy files as
//
//     smear EDGES... forward|vjp|jvp
//
// A message on standard error and an exit code that is not 0 say that it failed.
#include <array>
#include <cmath>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

// ---- numbers with their slopes along (energy, scale, saturation) ----

struct Dual {
    double value;
    std::array<double, 3> slope;
    Dual(double value, std::array<double, 3> slope = {}) : value(value), slope(slope) {}
};

// f(a, b), of which the partial derivatives are known
Dual chain(double f, double df_da, const Dual& a, double df_db = 0, const Dual& b = 0) {
    Dual found(f);
    for (int i = 0; i < 3; ++i) found.slope[i] = df_da * a.slope[i] + df_db * b.slope[i];
    return found;
}

Dual operator+(const Dual& a, const Dual& b) { return chain(a.value + b.value, 1, a, 1, b); }
Dual operator-(const Dual& a, const Dual& b) { return chain(a.value - b.value, 1, a, -1, b); }
Dual operator*(const Dual& a, const Dual& b) {
    return chain(a.value * b.value, b.value, a, a.value, b);
}
Dual operator/(const Dual& a, const Dual& b) {
    const double ratio = a.value / b.value;
    return chain(ratio, 1 / b.value, a, -ratio / b.value, b);
}
Dual sqrt(const Dual& a) { return chain(std::sqrt(a.value), 0.5 / std::sqrt(a.value), a); }
Dual exp(const Dual& a) { return chain(std::exp(a.value), std::exp(a.value), a); }
Dual normal(const Dual& a) {  // the normal distribution function
    const double density = std::exp(-0.5 * a.value * a.value) / std::sqrt(8 * std::atan(1.0));
    return chain(0.5 * std::erfc(-a.value / std::sqrt(2.0)), density, a);
}

// ---- the physics: energies in GeV ----

// What one event of a true energy is expected to add to each bin.
std::vector<Dual> counts(const Dual& energy, const Dual& scale, const Dual& saturation,
                         const std::vector<double>& edges) {
    const Dual ratio = energy / saturation;
    const Dual measured = scale * energy / sqrt(1.0 + ratio * ratio);
    const Dual accepted = 1.0 / (1.0 + exp((30.0 - measured) / 4.0));
    const Dual resolution = 0.8 * sqrt(measured);
    std::vector<Dual> below, found;
    for (double edge : edges) below.push_back(normal((edge - measured) / resolution));
    for (size_t b = 0; b + 1 < edges.size(); ++b)
        found.push_back(accepted * (below[b + 1] - below[b]));
    return found;
}

// ---- .npy files of float64: a line that says the shape, then the numbers ----

struct Array {
    std::vector<size_t> shape;
    std::vector<double> values;
};

Array read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    unsigned char start[10] = {};  // "\x93NUMPY", the version 1.0, the length of the header
    file.read(reinterpret_cast<char*>(start), 10);
    std::string header(start[8] + 256 * start[9], ' ');
    file.read(header.data(), header.size());
    if (header.find("'<f8'") == header.npos || header.find("False") == header.npos)
        throw std::runtime_error(path + " holds no float64 in C order");
    Array array;
    size_t size = 1;
    const size_t end = header.find(')');
    for (size_t at = header.find('('); (at = header.find_first_of("0123456789", at)) < end;) {
        array.shape.push_back(std::stoul(header.substr(at)));
        size *= array.shape.back();
        at = header.find_first_of(",)", at);
    }
    array.values.resize(size);
    file.read(reinterpret_cast<char*>(array.values.data()), size * sizeof(double));
    if (!file) throw std::runtime_error(path + " ends too early");
    return array;
}

void write(const std::string& path, const Array& array) {
    std::string shape;
    for (size_t n : array.shape) shape += std::to_string(n) + ", ";
    std::string header = "{'descr': '<f8', 'fortran_order': False, 'shape': (" + shape + "), }";
    header.append(63 - (10 + header.size()) % 64, ' ');
    header += '\n';
    const char length[2] = {char(header.size() % 256), char(header.size() / 256)};
    std::ofstream file(path, std::ios::binary);
    file.write("\x93NUMPY\x01\x00", 8).write(length, 2) << header;
    file.write(reinterpret_cast<const char*>(array.values.data()),
               array.values.size() * sizeof(double));
    if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

// ---- what it is asked to do ----

void run(const std::string& what, const std::vector<double>& edges) {
    const Array energy = read("inputs/energy.npy");
    const Dual scale(read("parameters/scale.npy").values[0], {0, 1, 0});
    const Dual saturation(read("parameters/saturation.npy").values[0], {0, 0, 1});
    const size_t events = energy.values.size(), bins = edges.size() - 1;
    Array content{{bins}, std::vector<double>(bins)}, pushed = content;
    Array cotangent = content, moved = energy, pulled = energy;  // of the energies
    double step[3] = {}, gradient[3] = {};                       // along energy, scale, saturation
    if (what == "vjp") cotangent = read("cotangents/content.npy");
    if (what == "jvp") {
        moved = read("tangents/inputs/energy.npy");
        step[1] = read("tangents/parameters/scale.npy").values[0];
        step[2] = read("tangents/parameters/saturation.npy").values[0];
    }
    for (size_t e = 0; e < events; ++e) {
        const auto added = counts(Dual(energy.values[e], {1, 0, 0}), scale, saturation, edges);
        step[0] = moved.values[e];
        gradient[0] = 0;
        for (size_t b = 0; b < bins; ++b) {
            content.values[b] += added[b].value;
            for (int i = 0; i < 3; ++i) {
                pushed.values[b] += added[b].slope[i] * step[i];
                gradient[i] += added[b].slope[i] * cotangent.values[b];
            }
        }
        pulled.values[e] = gradient[0];
    }
    if (what == "forward") write("outputs/content.npy", content);
    if (what == "jvp") write("tangents/outputs/content.npy", pushed);
    if (what == "vjp") {
        write("gradients/inputs/energy.npy", pulled);
        write("gradients/parameters/scale.npy", {{}, {gradient[1]}});
        write("gradients/parameters/saturation.npy", {{}, {gradient[2]}});
    }
}

int main(int count, char** words) {
    try {
        std::vector<double> edges;
        for (int i = 1; i < count - 1; ++i) edges.push_back(std::stod(words[i]));
        if (edges.size() < 2) throw std::runtime_error("usage: smear EDGES... forward|vjp|jvp");
        run(words[count - 1], edges);
    } catch (const std::exception& error) {
        std::cerr << "smear: " << error.what() << '\n';
        return 1;
    }
}
