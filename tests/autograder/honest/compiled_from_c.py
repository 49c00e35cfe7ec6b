"""mlp_sprint | custom kernels | all three layers in kernel.c"""

import ctypes

import numpy as np

KERNEL_C = r"""
typedef float v8 __attribute__((vector_size(32), aligned(4), may_alias));

/* 64 columns of x @ w + b; the sums stay in registers, what is zero is left out. */
static void columns(const float *x, const short *at, int n, const float *w, int stride, const float *b, float *out)
{
    const v8 *start = (const v8 *)b;
    v8 s0 = start[0], s1 = start[1], s2 = start[2], s3 = start[3];
    v8 s4 = start[4], s5 = start[5], s6 = start[6], s7 = start[7];
    for (int i = 0; i < n; i++) {
        const v8 *row = (const v8 *)(w + at[i] * stride);
        const float v = x[i];
        s0 += v * row[0]; s1 += v * row[1]; s2 += v * row[2]; s3 += v * row[3];
        s4 += v * row[4]; s5 += v * row[5]; s6 += v * row[6]; s7 += v * row[7];
    }
    v8 *end = (v8 *)out;
    end[0] = s0; end[1] = s1; end[2] = s2; end[3] = s3; end[4] = s4; end[5] = s5; end[6] = s6; end[7] = s7;
}

static int positive(const float *x, int n, float *values, short *at)
{
    int found = 0;
    for (int i = 0; i < n; i++) {
        values[found] = x[i];
        at[found] = i;
        found += x[i] > 0;
    }
    return found;
}

/* The same for the pixels of an image, eight zeros at a time. */
static int ink(const unsigned char *image, float *values, short *at)
{
    int found = 0;
    for (int start = 0; start < 784; start += 8) {
        unsigned long long eight;
        __builtin_memcpy(&eight, image + start, 8);
        if (eight == 0) continue;
        for (int i = start; i < start + 8; i++) {
            values[found] = image[i];
            at[found] = i;
            found += image[i] > 0;
        }
    }
    return found;
}

void predict(const unsigned char *images, int rows, const float *w0, const float *b0, const float *w1,
             const float *b1, const float *w2, const float *b2, float *out)
{
    float values[792], hidden[128], deeper[64];
    short at[792];
    for (int row = 0; row < rows; row++, images += 784, out += 10) {
        int n = ink(images, values, at);
        columns(values, at, n, w0, 128, b0, hidden);
        columns(values, at, n, w0 + 64, 128, b0 + 64, hidden + 64);
        n = positive(hidden, 128, values, at);
        columns(values, at, n, w1, 64, b1, deeper);
        for (int u = 0; u < 10; u++) out[u] = b2[u];
        for (int p = 0; p < 64; p++)
            if (deeper[p] > 0) for (int u = 0; u < 10; u++) out[u] += deeper[p] * w2[p * 10 + u];
    }
}
"""


class Model:
    def __init__(self, weights):
        w = [weights[f"network.layers.{at}.{part}"] for at in (0, 2, 4) for part in ("weight", "bias")]
        self.arrays = [np.ascontiguousarray(each) for each in (w[0] / np.float32(255), *w[1:])]
        self.pointers = [ctypes.c_void_p(each.ctypes.data) for each in self.arrays]
        self.function = ctypes.CDLL(KERNEL).predict  # the referee sets KERNEL
        self.function.restype = None

    def predict(self, images):
        images, out = np.ascontiguousarray(images), np.empty((len(images), 10), np.float32)
        given, to = (ctypes.c_void_p(each.__array_interface__["data"][0]) for each in (images, out))
        self.function(given, len(images), *self.pointers, to)
        return out


def build(weights):
    return Model(weights)


def weights(baseline):
    return baseline.state_dict()
