"""Runtimes: classes for models that come as a file, so that their source is a few lines.

A source builds on one of them, and says in hooks of its own what an input and a result are:

    exported       a program of torch.export (.pt2); it is code, so its version must be pushed as trusted
    weights        safetensors, for an architecture that the version's source has
    onnx           a graph for ONNX Runtime (extra `onnx`)
    hugging_face   texts to labels or vectors, with the transformers library (extra `transformers`), from local files

A module is imported only by sources that build on it, in the child; and where such a source is pushed.
"""
