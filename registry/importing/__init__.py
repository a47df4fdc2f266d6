"""Importing: what other tools have saved on this disk becomes a folder that can be pushed; nothing is downloaded.

`hugging_face` reads a folder of the transformers library, `mlflow` one with an MLmodel file. Both write a `model.py` of
a few lines over a runtime of `workers.runtimes`, to be pushed as it is or to be changed first. `artifact` is what they
answer, `write` brings it into a folder.
"""
