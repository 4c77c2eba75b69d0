"""How many Keras models keep their outputs after an export: our export compared with Keras's `model.export`.

    python benchmarks/export_conformance.py                        # all cases: about an hour
    python benchmarks/export_conformance.py --only LSTM            # the cases with this text in their name
    python benchmarks/export_conformance.py --results some.jsonl   # continue an interrupted run

A case is a line of the tables below. Its model is exported to both formats with dynamic batch and time dimensions. The
file runs at four sizes, and its outputs are compared with `model(x, training=False)`. "Refused" is an error at export.
"Wrong" is a file that was written but cannot be loaded, cannot run or has different outputs, or a process that crashed;
therefore the cases run in separate processes.
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cyclopts
import numpy as np

SIZES = (1, 9), (2, 12), (5, 6), (3, 17)
"""Batch and time."""
CHUNK, SECONDS = 25, 300
"""Number of cases in one process, and the time limit for one case in one format."""
TOLERANCE, HALF_TOLERANCE = 1e-4, 5e-2
EXPORTERS, FORMATS = ("Keras", "ours"), ("SavedModel", "ONNX")

rng = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype("float32")


def below(limit: int, *shape: int) -> np.ndarray:
    return rng.integers(0, limit, shape).astype("int32")


def words(*shape: int) -> np.ndarray:
    return rng.choice(np.array(["a", "b", "c", "d e", "F"], dtype=object), shape)


INPUTS: dict[str, Callable[[int, int], Any]] = {
    "vector": lambda batch, time: floats(batch, 6),
    "two vectors": lambda batch, time: [floats(batch, 6), floats(batch, 6)],
    "steps": lambda batch, time: floats(batch, time, 4),
    "8 steps": lambda batch, time: floats(batch, 8, 4),
    "two times steps": lambda batch, time: [floats(batch, time, 4), floats(batch, time + 1, 4)],
    "image": lambda batch, time: floats(batch, 8, 8, 4),
    "image, channels first": lambda batch, time: floats(batch, 4, 8, 8),
    "photo": lambda batch, time: rng.integers(0, 256, (batch, 12, 10, 3)).astype("float32"),
    "photo of any size": lambda batch, time: floats(batch, time, time + 2, 3),
    "volume": lambda batch, time: floats(batch, 6, 6, 6, 2),
    "film": lambda batch, time: floats(batch, time, 8, 8, 3),
    "tokens": lambda batch, time: below(10, batch, time),
    "numbers": lambda batch, time: below(6, batch, 3),
    "two numbers": lambda batch, time: [below(6, batch, 1), below(6, batch, 1)],
    "words": lambda batch, time: words(batch, 3),
    "one text": lambda batch, time: words(batch, 1),
    "sound": lambda batch, time: floats(batch, 400),
    "sound of any length": lambda batch, time: floats(batch, 200 + 16 * time),
}
"""Test inputs for a batch and a time size. A dimension that differs between two sizes is dynamic."""

CASES: dict[str, str] = {
    "vector": """
        Dense(3)
        Dense(3, use_bias=False)
        Dense(3, activation='gelu')
        Dense(3, kernel_constraint='non_neg', kernel_regularizer='l2')
        EinsumDense('ab,bc->ac', output_shape=3, bias_axes='c')
        Activation('relu')
        ActivityRegularization(l1=0.1)
        AlphaDropout(0.5)
        BatchNormalization()
        BatchNormalization(center=False, scale=False)
        Discretization(bin_boundaries=[-1.0, 0.0, 1.0])
        Discretization(bin_boundaries=[-1.0, 0.0, 1.0], output_mode='one_hot')
        Discretization(bin_boundaries=[-1.0, 0.0, 1.0], output_mode='multi_hot')
        Discretization(bin_boundaries=[-1.0, 0.0, 1.0], output_mode='count')
        adapted(Discretization(num_bins=4), floats(50, 6))
        Dropout(0.5)
        ELU()
        ELU(alpha=0.5)
        Flatten()
        GaussianDropout(0.5)
        GaussianNoise(0.5)
        GroupNormalization(groups=3)
        Identity()
        LayerNormalization()
        LayerNormalization(center=False, scale=False)
        LeakyReLU()
        LeakyReLU(negative_slope=0.1)
        Masking()
        adapted(Normalization(), floats(50, 6))
        adapted(Normalization(axis=None), floats(50, 6))
        Normalization(mean=1.0, variance=4.0)
        adapted(Normalization(invert=True), floats(50, 6))
        PReLU()
        RMSNormalization()
        ReLU()
        ReLU(max_value=1.0, negative_slope=0.1, threshold=0.2)
        RepeatVector(3)
        Rescaling(0.1, offset=1.0)
        Reshape((3, 2))
        Reshape((-1, 2))
        Softmax()
        SpectralNormalization(Dense(3))
        UnitNormalization()
        Lambda(lambda x: 2 * x)
        lambda x: Dropout(0.5)(Dense(3)(x), training=False)
        lambda x: ops.concatenate([x, ops.expm1(x), ops.log1p(ops.abs(x)), ops.erf(x)], axis=-1)
        lambda x: ops.argmax(x, axis=-1)
        lambda x: ops.top_k(x, 2)
        lambda x: ops.sort(x, axis=-1)
        lambda x: ops.cumsum(x, axis=-1)
        lambda x: ops.signbit(x)
        lambda x: ops.slice_update(x, (0, 1), 2 * x[:, :3])
        lambda x: ops.one_hot(ops.cast(ops.clip(x, 0, 3), 'int32'), 4)
        lambda x: ops.logsumexp(x, axis=-1)
        lambda x: ops.norm(x, axis=-1)
        lambda x: ops.threshold(x, 0.1, 0.0)
        lambda x: ops.where(x > 0, x, -x)
        lambda x: ops.einsum('bi,bj->bij', x, x)
        lambda x: ops.linalg.inv(ops.eye(6) + ops.einsum('bi,bj->bij', x, x))
        lambda x: ops.rfft(x)
        lambda x: ops.fft((x, x))
    """,
    "two vectors": """
        Add()
        Average()
        Concatenate()
        Dot(axes=1)
        Dot(axes=1, normalize=True)
        Maximum()
        Minimum()
        Multiply()
        Subtract()
        lambda x, y: Bilinear()(x, y)
    """,
    "steps": """
        Dense(3)
        EinsumDense('abc,cd->abd', output_shape=(None, 3), bias_axes='d')
        AveragePooling1D(2)
        AveragePooling1D(3, strides=1, padding='same')
        AdaptiveAveragePooling1D(1)
        BatchNormalization()
        lambda x: BatchNormalization()(Masking()(x))
        Conv1D(3, 3)
        Conv1D(3, 3, padding='same', activation='relu')
        Conv1D(3, 3, padding='causal', dilation_rate=2)
        Conv1D(4, 3, groups=2)
        Conv1D(3, 3, strides=2)
        Conv1DTranspose(3, 3)
        Conv1DTranspose(3, 3, strides=2, padding='same')
        Cropping1D(1)
        DepthwiseConv1D(3)
        DepthwiseConv1D(3, depth_multiplier=2, padding='same')
        SeparableConv1D(3, 3)
        GlobalAveragePooling1D()
        lambda x: GlobalAveragePooling1D()(Masking()(x))
        GlobalMaxPooling1D()
        MaxPooling1D(2)
        MaxPooling1D(3, strides=1, padding='same')
        LayerNormalization()
        GroupNormalization(groups=2)
        RMSNormalization()
        Permute((2, 1))
        Reshape((-1, 2))
        SpatialDropout1D(0.5)
        UpSampling1D(2)
        ZeroPadding1D(2)
        LSTM(3)
        LSTM(3, return_sequences=True)
        LSTM(3, return_sequences=True, return_state=True)
        LSTM(3, go_backwards=True, return_sequences=True)
        LSTM(3, activation='relu', recurrent_activation='hard_sigmoid')
        LSTM(3, use_bias=False)
        LSTM(3, dropout=0.5, recurrent_dropout=0.5)
        lambda x: LSTM(3)(Masking()(x))
        GRU(3)
        GRU(3, return_sequences=True)
        GRU(3, return_state=True)
        GRU(3, reset_after=False)
        lambda x: GRU(3, return_sequences=True)(Masking()(x))
        SimpleRNN(3)
        SimpleRNN(3, return_sequences=True)
        lambda x: SimpleRNN(3)(Masking()(x))
        RNN(LSTMCell(3))
        RNN(GRUCell(3), return_sequences=True)
        RNN(SimpleRNNCell(3))
        RNN([LSTMCell(3), LSTMCell(2)], return_sequences=True)
        RNN(StackedRNNCells([GRUCell(3), GRUCell(2)]))
        Bidirectional(LSTM(3))
        Bidirectional(LSTM(3, return_sequences=True))
        Bidirectional(LSTM(3, return_sequences=True), merge_mode='sum')
        Bidirectional(GRU(3, return_sequences=True), merge_mode=None)
        lambda x: Bidirectional(LSTM(3))(Masking()(x))
        TimeDistributed(Dense(3))
        TimeDistributed(BatchNormalization())
        lambda x: TimeDistributed(Dense(3))(Masking()(x))
        lambda x: Attention()([x, x])
        lambda x: Attention(use_scale=True, score_mode='concat')([x, x])
        lambda x: AdditiveAttention()([x, x])
        lambda x: MultiHeadAttention(2, 3)(x, x)
        lambda x: MultiHeadAttention(2, 3)(x, x, use_causal_mask=True)
        lambda x: MultiHeadAttention(2, 3, flash_attention=False)(x, x, return_attention_scores=True)
        lambda x: MultiHeadAttention(2, 3)(Masking()(x), x)
        lambda x: GroupQueryAttention(3, 4, 2)(x, x)
        lambda x: GroupQueryAttention(3, 4, 2)(x, x, use_causal_mask=True)
        lambda x: ops.flip(x, axis=1)
        lambda x: ops.scan(lambda h, s: (h + s, h + s), ops.zeros_like(x[:, 0]), ops.swapaxes(x, 0, 1))[0]
    """,
    "8 steps": """
        Flatten()
        AdaptiveMaxPooling1D(4)
        AdaptiveAveragePooling1D(3)
        LSTM(3, unroll=True)
        GRU(3, unroll=True, return_sequences=True)
        TimeDistributed(Dense(3))
        EinsumDense('abc,bcd->ad', output_shape=3)
        LayerNormalization(axis=(1, 2))
        PReLU(shared_axes=[1])
    """,
    "two times steps": """
        lambda q, v: Attention()([q, v])
        lambda q, v: Attention(use_scale=True, dropout=0.5)([q, v])
        lambda q, v: AdditiveAttention()([q, v])
        lambda q, v: MultiHeadAttention(2, 3)(q, v)
        lambda q, v: GroupQueryAttention(3, 4, 2)(q, v)
        lambda q, v: Concatenate(axis=1)([q, v])
        lambda q, v: Dot(axes=2)([q, v])
    """,
    "image": """
        AdaptiveAveragePooling2D(4)
        AdaptiveAveragePooling2D((3, 5))
        AdaptiveMaxPooling2D(4)
        AdaptiveMaxPooling2D((3, 5))
        AveragePooling2D(2)
        AveragePooling2D(3, strides=2, padding='same')
        BatchNormalization()
        BatchNormalization(axis=1)
        CenterCrop(5, 6)
        Conv2D(3, 3)
        Conv2D(3, 3, padding='same', strides=2, activation='relu')
        Conv2D(3, (3, 2), dilation_rate=2)
        Conv2D(4, 3, groups=2)
        Conv2D(8, 3, groups=4, padding='same')
        Conv2D(3, 1)
        Conv2DTranspose(3, 3)
        Conv2DTranspose(3, 3, strides=2, padding='same')
        Conv2DTranspose(3, 3, strides=2, output_padding=1)
        Cropping2D(((1, 2), (0, 1)))
        DepthwiseConv2D(3)
        DepthwiseConv2D(3, depth_multiplier=2, strides=2, padding='same')
        DepthwiseConv2D(3, dilation_rate=2)
        SeparableConv2D(3, 3)
        SeparableConv2D(3, 3, depth_multiplier=2, padding='same')
        Flatten()
        GlobalAveragePooling2D()
        GlobalAveragePooling2D(keepdims=True)
        GlobalMaxPooling2D()
        GroupNormalization(groups=2)
        GroupNormalization(groups=-1)
        LayerNormalization()
        LayerNormalization(axis=(1, 2, 3))
        MaxPooling2D(2)
        MaxPooling2D(3, strides=2, padding='same')
        Permute((3, 1, 2))
        PReLU(shared_axes=[1, 2])
        Reshape((16, 16))
        SpatialDropout2D(0.5)
        SpectralNormalization(Conv2D(3, 3))
        UpSampling2D(2)
        UpSampling2D((2, 3), interpolation='bilinear')
        UpSampling2D(2, interpolation='bicubic')
        UpSampling2D(2, interpolation='lanczos3')
        ZeroPadding2D(((1, 2), (0, 1)))
        lambda x: ops.image.extract_patches(x, 4)
        lambda x: ops.depth_to_space(x, 2)
    """,
    "image, channels first": """
        Conv2D(3, 3, data_format='channels_first')
        DepthwiseConv2D(3, data_format='channels_first')
        MaxPooling2D(2, data_format='channels_first')
        AveragePooling2D(2, padding='same', data_format='channels_first')
        Conv2DTranspose(3, 3, strides=2, data_format='channels_first')
        GlobalAveragePooling2D(data_format='channels_first')
        Flatten(data_format='channels_first')
        ZeroPadding2D(1, data_format='channels_first')
        UpSampling2D(2, data_format='channels_first')
        BatchNormalization(axis=1)
    """,
    "photo": """
        AugMix((0, 255))
        AutoContrast((0, 255))
        ContrastLimitedAdaptiveHistogramEqualization((0, 255))
        CutMix()
        MixUp()
        Pipeline([RandomFlip(), RandomBrightness(0.5)])
        RandAugment((0, 255))
        RandomBrightness(0.5)
        RandomColorDegeneration(0.5)
        RandomColorJitter((0, 255), brightness_factor=0.5)
        RandomContrast(0.5)
        RandomCrop(8, 6)
        RandomElasticTransform(1.0, 1.0)
        RandomErasing(1.0)
        RandomFlip()
        RandomGaussianBlur(1.0)
        RandomGrayscale(0.5)
        RandomHue(0.5)
        RandomInvert(0.5)
        RandomPerspective(0.5)
        RandomPosterization(4)
        RandomRotation(0.5)
        RandomSaturation(0.5)
        RandomSharpness(0.5)
        RandomShear(0.5, 0.5)
        RandomTranslation(0.5, 0.5)
        RandomZoom(0.5)
        Rescaling(1 / 255)
        Resizing(6, 5)
        Resizing(24, 20)
        Resizing(7, 9, interpolation='nearest')
        Resizing(24, 20, interpolation='nearest')
        Resizing(7, 9, interpolation='bicubic')
        Resizing(7, 9, interpolation='lanczos3')
        Resizing(7, 9, interpolation='lanczos5')
        Resizing(7, 9, interpolation='area')
        Resizing(7, 9, antialias=True)
        Resizing(7, 9, interpolation='bicubic', antialias=True)
        Resizing(7, 9, crop_to_aspect_ratio=True)
        Resizing(7, 9, pad_to_aspect_ratio=True)
        Solarization()
        lambda x: ops.image.rgb_to_grayscale(x)
    """,
    "photo of any size": """
        Conv2D(3, 3)
        Conv2D(3, 3, strides=2, padding='same')
        GlobalAveragePooling2D()
        MaxPooling2D(2)
        Rescaling(1 / 255)
        Resizing(6, 5)
        Resizing(6, 5, interpolation='nearest')
        Resizing(6, 5, interpolation='bicubic')
        Resizing(6, 5, interpolation='area')
        Resizing(6, 5, antialias=True)
        Resizing(6, 5, crop_to_aspect_ratio=True)
        CenterCrop(4, 4)
        UpSampling2D(2, interpolation='bilinear')
        UpSampling2D(2)
        GroupNormalization(groups=3)
    """,
    "volume": """
        AdaptiveAveragePooling3D(3)
        AdaptiveMaxPooling3D(2)
        AveragePooling3D(2)
        Conv3D(3, 3)
        Conv3D(3, 3, padding='same', strides=2)
        Conv3D(4, 3, groups=2)
        Conv3DTranspose(3, 3)
        Conv3DTranspose(3, 3, strides=2, padding='same')
        Cropping3D(1)
        GlobalAveragePooling3D()
        GlobalMaxPooling3D()
        MaxPooling3D(2)
        SpatialDropout3D(0.5)
        UpSampling3D(2)
        ZeroPadding3D(1)
        BatchNormalization()
        ConvLSTM2D(3, 3)
    """,
    "film": """
        ConvLSTM2D(3, 3)
        ConvLSTM2D(3, 3, return_sequences=True, padding='same')
        TimeDistributed(Conv2D(3, 3))
        TimeDistributed(GlobalAveragePooling2D())
        TimeDistributed(Flatten())
        TimeDistributed(Conv2D(4, 3, strides=2, padding='same'))
        lambda x: ConvLSTM1D(3, 3)(x[:, :, 0])
        lambda x: ConvLSTM3D(2, 2, padding='same')(ops.expand_dims(x, 3))
    """,
    "tokens": """
        Embedding(10, 4)
        ReversibleEmbedding(10, 4)
        lambda x: LSTM(3)(Embedding(10, 4, mask_zero=True)(x))
        lambda x: GRU(3, return_sequences=True)(Embedding(10, 4, mask_zero=True)(x))
        lambda x: Bidirectional(LSTM(3))(Embedding(10, 4, mask_zero=True)(x))
        lambda x: GlobalAveragePooling1D()(Embedding(10, 4, mask_zero=True)(x))
        lambda x: attend(Embedding(10, 4, mask_zero=True)(x))
        lambda x: TimeDistributed(Dense(2))(Embedding(10, 4, mask_zero=True)(x))
        lambda x: tied(ReversibleEmbedding(10, 4), x)
        lambda x: ops.bitwise_and(x, x // 2)
        lambda x: ops.cast(x % 3, 'float32')
        CategoryEncoding(10, output_mode='multi_hot')
        CategoryEncoding(10, output_mode='count')
    """,
    "numbers": """
        CategoryEncoding(6)
        CategoryEncoding(6, output_mode='count')
        lambda x: CategoryEncoding(6, output_mode='one_hot')(x[:, :1])
        IntegerLookup(vocabulary=[1, 3, 5])
        IntegerLookup(vocabulary=[0, 1, 2, 3, 4, 5], num_oov_indices=0)
        IntegerLookup(vocabulary=[1, 3, 5], num_oov_indices=2)
        IntegerLookup(vocabulary=[1, 3, 5], mask_token=0)
        IntegerLookup(vocabulary=[1, 3, 5], output_mode='multi_hot')
        IntegerLookup(vocabulary=[1, 3, 5], output_mode='count')
        IntegerLookup(vocabulary=[7, 8, 9, 10, 11], invert=True)
        StringLookup(vocabulary=['a', 'b', 'c', 'd', 'e'], invert=True)
        Hashing(5)
        Embedding(6, 4, embeddings_constraint='non_neg')
    """,
    "two numbers": """
        HashedCrossing(5)
        HashedCrossing(5, output_mode='one_hot')
    """,
    "words": """
        StringLookup(vocabulary=['a', 'b'])
        StringLookup(vocabulary=['a', 'b'], mask_token='c')
        StringLookup(vocabulary=['a', 'b'], num_oov_indices=2)
        StringLookup(vocabulary=['a', 'b'], output_mode='multi_hot')
        StringLookup(vocabulary=['a', 'b'], output_mode='count')
        StringLookup(vocabulary=['a', 'b'], output_mode='tf_idf', idf_weights=[0.5, 0.7])
        lambda x: StringLookup(vocabulary=['a', 'b'], output_mode='one_hot')(x[:, :1])
        lambda x: Embedding(5, 3)(StringLookup(vocabulary=['a', 'b'])(x))
        Hashing(5)
        Hashing(5, salt=7)
    """,
    "one text": """
        TextVectorization(vocabulary=['a', 'b'])
        TextVectorization(vocabulary=['a', 'b'], output_sequence_length=4)
        TextVectorization(vocabulary=['a', 'b'], output_mode='multi_hot')
        TextVectorization(vocabulary=['a', 'b'], output_mode='count', ngrams=2)
        TextVectorization(vocabulary=['a', 'b'], split='character', standardize=None)
    """,
    "sound": """
        MelSpectrogram(fft_length=64, sequence_stride=16, num_mel_bins=8)
        MelSpectrogram(fft_length=64, sequence_stride=16, num_mel_bins=8, power_to_db=False)
        lambda x: spectrogram(x, 'log')
        lambda x: spectrogram(x, 'angle')
        lambda x: spectrogram(x, 'stft')
        lambda x: spectrogram(x, 'magnitude', padding='same')
    """,
    "sound of any length": """
        MelSpectrogram(fft_length=64, sequence_stride=16, num_mel_bins=8)
        lambda x: spectrogram(x, 'log')
    """,
}
"""The layers, or functions of symbolic tensors, for each kind of input."""

ACTIVATIONS = """
    celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_tanh leaky_relu linear log_sigmoid log_softmax
    mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus sparse_sigmoid sparsemax
    squareplus tanh tanh_shrink
"""

SEQUENCE_LAYERS = """
    LSTM(6, return_sequences=True)
    GRU(6, return_sequences=True)
    SimpleRNN(6, return_sequences=True)
    Bidirectional(LSTM(3, return_sequences=True))
    Bidirectional(GRU(6, return_sequences=True), merge_mode='sum')
    lambda x: Bidirectional(SimpleRNN(3, return_sequences=True))(Masking()(x))
    Conv1D(6, 3, padding='same')
    SeparableConv1D(6, 3, strides=2, padding='same')
    MaxPooling1D(2, padding='same')
    lambda x: attend(x)
    TimeDistributed(Dense(6))
    SpatialDropout1D(0.5)
    LayerNormalization()
    BatchNormalization()
    Cropping1D((1, 2))
    ZeroPadding1D((1, 2))
    UpSampling1D(3)
"""
HEADS = """
    Dense(5)
    Dense(5, 'softmax')
    EinsumDense('abc,cd->abd', output_shape=(None, 4), bias_axes='d')
    TimeDistributed(Dense(4))
    LSTM(3)
    Bidirectional(GRU(3, return_sequences=True))
    Conv1D(3, 2, padding='same')
    lambda x: attend(x)
    GlobalAveragePooling1D()
    MaxPooling1D(2, padding='same')
    LayerNormalization()
    lambda x: ops.sum(x * ops.softmax(Dense(1)(x), axis=1), axis=1)
    lambda x: Dense(2)(x[:, -1])
"""
"""Every head after every sequence layer, with a static and with a dynamic number of steps."""

POLICIES = ("mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64")
UNDER_POLICIES = {
    "vector": """
        lambda x: Dense(3)(LayerNormalization()(Dense(8, activation='gelu')(x)))
        lambda x: adapted(Normalization(), floats(50, 6))(x)
    """,
    "image": "lambda x: Dense(3)(Flatten()(BatchNormalization()(Conv2D(4, 3)(x))))",
    "steps": """
        LSTM(3, recurrent_initializer='glorot_uniform')
        lambda x: GRU(3, return_sequences=True, recurrent_initializer='glorot_uniform')(Masking()(x))
        lambda x: MultiHeadAttention(2, 3)(x, x, use_causal_mask=True)
        TimeDistributed(Dense(3))
    """,
    "tokens": "lambda x: GlobalAveragePooling1D()(Embedding(10, 4, mask_zero=True)(x))",
}

APPLICATIONS = """
    MobileNet(alpha=0.25)
    MobileNetV2(alpha=0.35)
    MobileNetV3Small()
    EfficientNetB0()
    EfficientNetV2B0()
    ConvNeXtTiny()
    ResNet50()
"""


def whole_models() -> dict[str, tuple[Callable, Callable]]:
    """Return a function that builds the model, and one that makes its inputs, by the name of the case."""
    import keras
    from keras import layers, ops

    def photo(batch: int, time: int) -> np.ndarray:
        return rng.integers(0, 256, (batch, 64, 64, 3)).astype("float32")

    def application(line: str) -> Callable:
        name, arguments = line.rstrip(")").split("(")
        options = eval(f"dict({arguments})") | {"weights": None, "classes": 10, "input_shape": (64, 64, 3)}
        return lambda: getattr(keras.applications, name)(**options)

    def language_model() -> Any:
        tokens = keras.Input((None,), dtype="int32", name="tokens")
        embedding = layers.ReversibleEmbedding(20, 16)
        x = embedding(tokens)
        for _ in range(2):
            h = layers.LayerNormalization()(x)
            x = x + layers.MultiHeadAttention(2, 8)(h, h, use_causal_mask=True)
            x = x + layers.Dense(16)(layers.Dense(32, activation="gelu")(layers.LayerNormalization()(x)))
        return keras.Model(tokens, embedding(layers.LayerNormalization()(x), reverse=True))

    def many_ends() -> Any:
        text, age = keras.Input((None,), dtype="int32", name="text"), keras.Input((1,), name="age")
        h = layers.Concatenate()([layers.LSTM(4)(layers.Embedding(10, 4, mask_zero=True)(text)), age])
        outputs = {"price": layers.Dense(1)(h), "kind": layers.Dense(3, activation="softmax")(h)}
        return keras.Model({"text": text, "age": age}, outputs)

    def nested() -> Any:
        inner = keras.Sequential([keras.Input((None, 4)), layers.GRU(4, return_sequences=True), layers.Dense(4)])
        x = keras.Input((None, 4))
        return keras.Model(x, [inner(x), inner(inner(x))])

    def encoder_decoder() -> Any:
        source, target = keras.Input((None, 4), name="source"), keras.Input((None, 4), name="target")
        _, h, c = layers.LSTM(6, return_state=True)(source)
        decoded = layers.LSTM(6, return_sequences=True)(target, initial_state=[h, c])
        return keras.Model([source, target], layers.Dense(3)(layers.Attention()([decoded, layers.Dense(6)(source)])))

    class Subclassed(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.hidden, self.out, self.drop = layers.Dense(8, "gelu"), layers.Dense(2), layers.Dropout(0.5)

        def call(self, x, training=False):
            return {"mean": self.out(self.drop(self.hidden(x), training=training)), "norm": ops.norm(x, axis=-1)}

    def subclassed() -> Any:
        model = Subclassed()
        model(floats(2, 6))
        return model

    class Sampling(keras.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.generator = keras.random.SeedGenerator(0)

        def call(self, x):
            noise = keras.random.normal((200, 200), seed=self.generator)
            return x + 1e-7 * ops.mean(noise)  # random, but far below the tolerance

    def unet() -> Any:
        x = skip = keras.Input((None, None, 3))
        skip = layers.Conv2D(4, 3, padding="same", activation="silu")(x)
        h = layers.MaxPooling2D(2)(skip)
        h = layers.UpSampling2D(2)(layers.Conv2D(4, 3, padding="same")(h))
        return keras.Model(x, layers.Conv2D(1, 1)(layers.Concatenate()([h, skip])))

    def columns() -> Any:
        city, age = keras.Input((1,), dtype="string", name="city"), keras.Input((1,), name="age")
        one_hot = layers.StringLookup(vocabulary=["a", "b"], output_mode="one_hot")(city)
        ages = layers.Discretization(bin_boundaries=[0.0, 0.5], output_mode="one_hot")(age)
        return keras.Model([city, age], layers.Dense(1)(layers.Concatenate()([one_hot, ages])))

    def quantized(mode: str) -> Callable:
        def make() -> Any:
            model = keras.Sequential([keras.Input((6,)), layers.Dense(8, "relu"), layers.Dense(3)])
            model.quantize(mode)
            return model

        return make

    vector, steps, tokens = INPUTS["vector"], INPUTS["steps"], INPUTS["tokens"]
    models = {line.strip(): (application(line.strip()), photo) for line in APPLICATIONS.strip().splitlines()}
    return models | {
        "GPT with tied embeddings": (language_model, lambda batch, time: below(20, batch, time)),
        "dicts of inputs and outputs": (
            many_ends,
            lambda batch, time: {"text": below(10, batch, time), "age": floats(batch, 1)},
        ),
        "nested and shared": (nested, steps),
        "encoder and decoder": (encoder_decoder, INPUTS["two times steps"]),
        "subclassed": (subclassed, vector),
        "sampling": (lambda: keras.Sequential([keras.Input((6,)), Sampling()]), vector),
        "U-net of any even size": (unet, lambda batch, time: floats(batch, 2 * time, 2 * time, 3)),
        "table of words and numbers": (columns, lambda batch, time: [words(batch, 1), floats(batch, 1)]),
        "Sequential with batch size": (
            lambda: keras.Sequential([keras.Input(batch_shape=(3, 6)), layers.Dense(2)]),
            lambda batch, time: floats(3, 6),
        ),
        "stateful LSTM": (
            lambda: keras.Sequential([keras.Input(batch_shape=(3, 8, 4)), layers.LSTM(2, stateful=True)]),
            lambda batch, time: floats(3, 8, 4),
        ),
        "MNIST's convnet": (
            lambda: keras.Sequential(
                [
                    keras.Input((8, 8, 4)),
                    layers.RandomRotation(0.1),
                    layers.Conv2D(8, 3, activation="relu"),
                    layers.MaxPooling2D(2),
                    layers.Flatten(),
                    layers.Dropout(0.5),
                    layers.Dense(10, activation="softmax"),
                ]
            ),
            INPUTS["image"],
        ),
        "text classifier": (
            lambda: keras.Sequential(
                [
                    keras.Input((None,), dtype="int32"),
                    layers.Embedding(10, 8, mask_zero=True),
                    layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
                    layers.Bidirectional(layers.GRU(4)),
                    layers.Dense(1, activation="sigmoid"),
                ]
            ),
            tokens,
        ),
        **{f"quantized to {mode}": (quantized(mode), vector) for mode in ("int8", "int4", "float8")},
    }


def cases() -> dict[str, tuple[Callable, Callable]]:
    """Return a function that builds the model, and one that makes its inputs, by the name of the case."""

    def lines(table: str) -> list[str]:
        return [line.strip() for line in table.strip().splitlines()]

    all_cases = {}
    for kind, table in CASES.items():
        all_cases |= {
            f"{kind}: {line}": (lambda k=kind, e=line: build_case(k, e), INPUTS[kind]) for line in lines(table)
        }
    for name in ACTIVATIONS.split():
        all_cases[f"activation {name}"] = (lambda n=name: build_case("vector", f"Activation('{n}')"), INPUTS["vector"])
    for first, head in itertools.product(lines(SEQUENCE_LAYERS), lines(HEADS)):
        for kind in ("steps", "8 steps"):
            expression = f"lambda x: ({head})(({first})(x))"
            all_cases[f"pair, {kind}: {first} | {head}"] = (
                lambda k=kind, e=expression: build_case(k, e),
                INPUTS[kind],
            )
    for policy in POLICIES:
        for kind, table in UNDER_POLICIES.items():
            for line in lines(table):
                make = lambda k=kind, e=line, p=policy: build_case(k, e, p)  # noqa: E731
                all_cases[f"{policy}, {kind}: {line}"] = (make, INPUTS[kind])
    return all_cases | whole_models()


def build_case(kind: str, expression: str, policy: str = "float32") -> Any:
    """Build the model for one line of the tables."""
    import keras

    small, large = (INPUTS[kind](*size) for size in SIZES[:2])

    def symbol(i: int, few: np.ndarray, many: np.ndarray) -> Any:
        shape = [a if a == b else None for a, b in zip(few.shape, many.shape, strict=True)]
        return keras.Input(batch_shape=shape, dtype="string" if few.dtype == object else few.dtype, name=f"x{i}")

    keras.config.set_dtype_policy(policy)
    try:
        pairs = [(small, large)] if not isinstance(small, list) else list(zip(small, large, strict=True))
        symbols = [symbol(i, *pair) for i, pair in enumerate(pairs)]
        block = eval(expression, names())
        function = expression.startswith("lambda")
        outputs = block(*symbols) if function or len(symbols) == 1 else block(symbols)
        model = keras.Model(symbols if len(symbols) > 1 else symbols[0], outputs)
    finally:
        keras.config.set_dtype_policy("float32")
    model.set_weights(
        [w + rng.uniform(0.05, 0.2, w.shape).astype(w.dtype) if "f" in w.dtype.str else w for w in model.get_weights()]
    )
    return model


def names() -> dict[str, Any]:
    """Return the names that a line of the tables may use."""
    import keras
    from keras import layers, ops

    class Bilinear(keras.layers.Layer):
        """A custom layer with two inputs."""

        def build(self, x_shape, y_shape):
            self.kernel = self.add_weight(shape=(x_shape[-1], y_shape[-1]))

        def call(self, x, y):
            return ops.sum((x @ self.kernel) * y, axis=-1)

    def adapted(layer: Any, data: np.ndarray) -> Any:
        layer.adapt(data)
        return layer

    def attend(x: Any) -> Any:
        return layers.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True)

    def spectrogram(x: Any, mode: str, **options: Any) -> Any:
        return layers.STFTSpectrogram(mode=mode, frame_length=64, frame_step=16, **options)(ops.expand_dims(x, -1))

    def tied(embedding: Any, x: Any) -> Any:
        return embedding(embedding(x), reverse=True)

    public = {name: getattr(layers, name) for name in dir(layers) if name[0].isupper()}
    return public | {
        "ops": ops,
        "floats": floats,
        "adapted": adapted,
        "attend": attend,
        "spectrogram": spectrogram,
        "tied": tied,
        "Bilinear": Bilinear,
    }


def judge(
    name: str, model: Any, make_inputs: Callable, exporter: str, file_format: str, folder: Path
) -> tuple[str, str]:
    """Return the verdict and its reason."""
    import keras

    try:
        export(model, exporter, file_format, folder / "model")
    except Exception as error:
        return "refused", " ".join(str(error).split())[:300]
    tolerance = HALF_TOLERANCE if "16" in name.partition(":")[0] else TOLERANCE
    try:
        run_file = load(model, exporter, file_format, folder / "model")
        leaves = flat if exporter == "ours" else keras.tree.flatten  # Keras sorts the keys of a dict
        for size in SIZES:
            x = make_inputs(*size)
            expected = map(numbers, leaves(model(keras.tree.map_structure(tensor, x), training=False)))
            for wanted, actual in zip(expected, run_file(x), strict=True):
                if wanted.shape != actual.shape:
                    return "wrong", f"shape {actual.shape}, expected {wanted.shape}, at batch and time {size}"
                if not close(wanted, actual, tolerance):
                    return "wrong", f"different values at batch and time {size}"
    except Exception as error:
        return "wrong", " ".join(str(error).split())[:300]
    return "correct", ""


def export(model: Any, exporter: str, file_format: str, path: Path) -> None:
    import onnx

    from kerasfound.export import saved_model_writer
    from kerasfound.export.converter import convert
    from kerasfound.export.tracing import traced_model

    if exporter == "Keras":
        model.export(path, format={"SavedModel": "tf_saved_model", "ONNX": "onnx"}[file_format], verbose=False)
    elif file_format == "ONNX":
        convert.save_onnx(convert.trace_for_onnx(model), path)
        onnx.checker.check_model(str(path), full_check=True)
    else:
        saved_model_writer.write_saved_model(traced_model.trace_model(model), path)


def load(model: Any, exporter: str, file_format: str, path: Path) -> Callable[[Any], list[np.ndarray]]:
    """Return a function that runs the file on inputs; its outputs have the exporter's order."""
    import keras
    import onnxruntime
    import tensorflow as tf

    from kerasfound.export.tracing import traced_model

    ours = exporter == "ours"
    inputs, outputs = [], []
    if ours:
        signature = traced_model.signature(model)
        inputs, outputs = [x.name for x in signature.inputs], [y.name for y in signature.outputs]
    arrange = flat if ours else keras.tree.flatten
    if file_format == "ONNX":
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        inputs = inputs or [x.name for x in session.get_inputs()]

        def run_file(x: Any) -> list[np.ndarray]:
            return session.run(outputs or None, dict(zip(inputs, arrange(x), strict=True)))

        return run_file
    loaded = tf.saved_model.load(str(path))
    if ours:
        serve = loaded.signatures["serving_default"]

        def run_file(x: Any, _owner: Any = loaded) -> list[np.ndarray]:
            results = serve(**dict(zip(inputs, map(tensor, flat(x)), strict=True)))
            return [numbers(results[name]) for name in outputs]

        return run_file
    return lambda x: [numbers(y) for y in keras.tree.flatten(loaded.serve(keras.tree.map_structure(tensor, x)))]


def flat(structure: Any) -> list:
    """Return the leaves of a nested structure; dicts keep their order."""
    if isinstance(structure, dict):
        structure = list(structure.values())
    if isinstance(structure, (list, tuple)):
        return [leaf for part in structure for leaf in flat(part)]
    return [structure]


def tensor(x: np.ndarray) -> Any:
    import tensorflow as tf

    return tf.constant(x)


def numbers(y: Any) -> np.ndarray:
    y = np.asarray(y)
    return (
        np.array([s.decode() if isinstance(s, bytes) else s for s in y.ravel()], dtype=object).reshape(y.shape)
        if y.dtype == object
        else y
    )


def close(wanted: np.ndarray, actual: np.ndarray, tolerance: float) -> bool:
    if wanted.dtype == object:
        return bool((wanted == numbers(actual)).all())
    a, b = wanted.astype("float64"), actual.astype("float64")
    if wanted.dtype.kind in "iub":
        return bool((a == b).all())
    scale = 1 + np.abs(a) if tolerance == TOLERANCE else 1 + np.abs(a).max()
    return bool((np.isclose(a, b, rtol=0, atol=0, equal_nan=True) | (np.abs(a - b) <= tolerance * scale)).all())


def work(results: Path, chosen: list[str]) -> None:
    """Judge some cases, in a separate process, and write each verdict at once."""
    import keras

    table = cases()
    with results.open("a") as file:

        def write(*row: str) -> None:
            file.write(json.dumps(row) + "\n")
            file.flush()

        for name in chosen:
            make, make_inputs = table[name]
            keras.utils.set_random_seed(0)
            try:
                model = make()
            except Exception as error:
                write(name, "", "", "no case", " ".join(str(error).split())[:300])
                continue
            for exporter in EXPORTERS:
                for file_format in FORMATS:
                    write(name, exporter, file_format, "started", "")
                    folder = Path(tempfile.mkdtemp(prefix="conformance-"))
                    write(name, exporter, file_format, *judge(name, model, make_inputs, exporter, file_format, folder))
                    shutil.rmtree(folder)


def verdicts(results: Path) -> dict[tuple[str, str, str], tuple[str, str]]:
    rows = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    return {(name, exporter, file_format): (verdict, reason) for name, exporter, file_format, verdict, reason in rows}


def judge_all(results: Path, wanted: list[str]) -> None:
    """Judge the cases in separate processes, some in each; a case whose process ends early has crashed it."""
    while True:
        written_verdicts = verdicts(results)
        for key, (verdict, _) in written_verdicts.items():
            if verdict == "started":
                with results.open("a") as file:
                    file.write(json.dumps([*key, "wrong", "crashed or took too long"]) + "\n")
        done = {name for name, *_ in written_verdicts}
        remaining = [name for name in wanted if name not in done]
        if not remaining:
            return
        print(f"{len(wanted) - len(remaining)} of {len(wanted)} cases", file=sys.stderr, flush=True)
        command = [sys.executable, __file__, "--results", str(results), "--chunk", json.dumps(remaining[:CHUNK])]
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
        worker = subprocess.Popen(command, env=os.environ | quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started = time.time()
        while worker.poll() is None:
            time.sleep(1)
            written = results.stat().st_mtime if results.exists() else 0
            if time.time() - max(started, written) > SECONDS:
                worker.kill()


def table(judged: dict[tuple[str, str, str], tuple[str, str]]) -> Iterator[str]:
    rows = {key: verdict for key, verdict in judged.items() if verdict[0] != "no case"}
    total = len({name for name, *_ in rows})
    yield f"| {total} cases | correct | refused | silently wrong |"
    yield "|---|---|---|---|"
    for file_format in FORMATS:
        for exporter in EXPORTERS:
            count = Counter(v for (_, e, f), (v, _) in rows.items() if (e, f) == (exporter, file_format))
            share = f"{count['correct']} ({count['correct'] / max(total, 1):.1%})"
            yield f"| {file_format}, {exporter} | {share} | {count['refused']} | {count['wrong']} |"
    yield ""
    for (name, exporter, file_format), (verdict, reason) in rows.items():
        if exporter == "ours" and verdict != "correct":
            yield f"- {file_format} {verdict}: `{name}`: {reason}"
    for (name, *_), (verdict, reason) in judged.items():
        if verdict == "no case":
            yield f"- not a case: `{name}`: {reason}"


def main(only: str = "", results: Path | None = None, chunk: str = "") -> None:
    """Judge every case, or the cases with `only` in their name, and print the table."""
    if chunk:
        assert results
        work(results, json.loads(chunk))
        return
    results = results or Path(tempfile.mkdtemp()) / "results.jsonl"
    judge_all(results, [name for name in cases() if only in name])
    print("\n".join(table(verdicts(results))))


if __name__ == "__main__":
    cyclopts.run(main)
