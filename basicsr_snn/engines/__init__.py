"""Networks on engines for inference: torch, OpenVINO, ONNX Runtime. Spiking ones run there with 8-bit arithmetic."""
