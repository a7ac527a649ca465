"""Networks: tensors in, parameters of a distribution out."""
