from . import activations as activations
from . import autodiff as autodiff
from . import backprop as backprop
from . import bundle as bundle
from . import data as data
from . import export as export
from . import gradients as gradients
from . import initializers as initializers
from . import interpretability as interpretability
from . import labs as labs
from . import layers as layers
from . import losses as losses
from . import optimizers as optimizers
from . import preprocessing as preprocessing
from . import recipes as recipes
from . import schedules as schedules
from . import serving as serving
from . import training as training
from .reference.explanation import explain as explain
from .saving import load_model as load_model

__version__: str
