"""The framework that students build by hand in Modules 1-20: numpy only, one file a module of the course.

Read upwards: autograd, tensor, ops; then layers, losses, conv, attention, transformer, optimizers, data,
training, models; then Modules 15-19 (profiler, acceleration, quantization, compression, caching); last
benchmarking (Module 20), which is generated from the notebook. Holds no data, no weights and no store.
"""
