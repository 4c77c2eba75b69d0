"""The layers of introductory deep learning, one file per idea."""

from .activation import ELU as ELU
from .activation import GELU as GELU
from .activation import LeakyReLU as LeakyReLU
from .activation import Linear as Linear
from .activation import ReLU as ReLU
from .activation import Sigmoid as Sigmoid
from .activation import Sign as Sign
from .activation import SiLU as SiLU
from .activation import Softplus as Softplus
from .activation import SquaredReLU as SquaredReLU
from .activation import Step as Step
from .activation import Swish as Swish
from .activation import Tanh as Tanh
from .attention import CausalSelfAttention as CausalSelfAttention
from .attention import DotProductAttention as DotProductAttention
from .attention import MultiHeadAttention as MultiHeadAttention
from .attention import attention_weights as attention_weights
from .attention import combine_masks as combine_masks
from .attention import scaled_dot_product_attention as scaled_dot_product_attention
from .convolution import Conv2D as Conv2D
from .convolution import im2col as im2col
from .dense import Dense as Dense
from .embedding import Embedding as Embedding
from .embedding import FactorizedInteraction as FactorizedInteraction
from .embedding import PeriodicEmbedding as PeriodicEmbedding
from .embedding import PiecewiseLinearEncoding as PiecewiseLinearEncoding
from .embedding import quantile_edges as quantile_edges
from .normalization import BatchNormalization as BatchNormalization
from .normalization import LayerNormalization as LayerNormalization
from .normalization import RMSNormalization as RMSNormalization
from .perceptron import Neuron as Neuron
from .perceptron import Perceptron as Perceptron
from .pooling import AveragePooling2D as AveragePooling2D
from .pooling import GlobalAveragePooling2D as GlobalAveragePooling2D
from .pooling import GlobalMaxPooling2D as GlobalMaxPooling2D
from .pooling import MaxPooling2D as MaxPooling2D
from .position import LearnedPosition as LearnedPosition
from .position import RotaryPosition as RotaryPosition
from .position import SinusoidalPosition as SinusoidalPosition
from .recurrent import GRU as GRU
from .recurrent import LSTM as LSTM
from .recurrent import Bidirectional as Bidirectional
from .recurrent import GRUCell as GRUCell
from .recurrent import LSTMCell as LSTMCell
from .recurrent import SimpleRNN as SimpleRNN
from .recurrent import SimpleRNNCell as SimpleRNNCell
from .regularization import Dropout as Dropout
from .regularization import RandomTranslation as RandomTranslation
from .softmax import LogSoftmax as LogSoftmax
from .softmax import Softmax as Softmax
from .table import BatchEnsembleScaling as BatchEnsembleScaling
from .table import CategoryEmbedding as CategoryEmbedding
from .table import DecisionTrees as DecisionTrees
from .table import Imputation as Imputation
from .text import HashedNGrams as HashedNGrams
from .text import SortedLookup as SortedLookup
from .transformer import CausalTransformerBlock as CausalTransformerBlock
from .transformer import FeedForward as FeedForward
from .transformer import TransformerDecoder as TransformerDecoder
from .transformer import TransformerEncoder as TransformerEncoder

__all__ = [
    "ELU",
    "GELU",
    "GRU",
    "LSTM",
    "AveragePooling2D",
    "BatchEnsembleScaling",
    "BatchNormalization",
    "Bidirectional",
    "CategoryEmbedding",
    "CausalSelfAttention",
    "CausalTransformerBlock",
    "Conv2D",
    "DecisionTrees",
    "Dense",
    "DotProductAttention",
    "Dropout",
    "Embedding",
    "FactorizedInteraction",
    "FeedForward",
    "GRUCell",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "HashedNGrams",
    "Imputation",
    "LSTMCell",
    "LayerNormalization",
    "LeakyReLU",
    "LearnedPosition",
    "Linear",
    "LogSoftmax",
    "MaxPooling2D",
    "MultiHeadAttention",
    "Neuron",
    "Perceptron",
    "PeriodicEmbedding",
    "PiecewiseLinearEncoding",
    "RMSNormalization",
    "RandomTranslation",
    "ReLU",
    "RotaryPosition",
    "SiLU",
    "Sigmoid",
    "Sign",
    "SimpleRNN",
    "SimpleRNNCell",
    "SinusoidalPosition",
    "Softmax",
    "Softplus",
    "SortedLookup",
    "SquaredReLU",
    "Step",
    "Swish",
    "Tanh",
    "TransformerDecoder",
    "TransformerEncoder",
    "attention_weights",
    "combine_masks",
    "im2col",
    "quantile_edges",
    "scaled_dot_product_attention",
]
