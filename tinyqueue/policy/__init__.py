"""The acting half of a policy: Keras → ONNX export, the ONNX runner, action heads in NumPy."""
