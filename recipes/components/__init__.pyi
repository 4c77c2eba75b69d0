from . import ensemble as ensemble
from . import logit_weights as logit_weights
from . import ngram_svm as ngram_svm
from . import tabular_features as tabular_features
from . import word_vectors as word_vectors
