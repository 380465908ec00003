"""Networks as programs of other runtimes: ONNX, TorchScript, torch.export, TensorRT; written, checked and run."""
