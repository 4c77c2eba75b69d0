"""Labs on the neuron and the perceptron."""
