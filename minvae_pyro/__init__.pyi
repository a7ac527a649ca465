# The public names of the package, each where it is defined: read by type checkers, and by lazy_loader when it runs.
from .audio.files import Sound as Sound
from .audio.files import read_sound as read_sound
from .audio.files import write_sound as write_sound
from .checkpoints.checkpoint import Checkpoint as Checkpoint
from .checkpoints.checkpoint import load_checkpoint as load_checkpoint
from .checkpoints.checkpoint import save_checkpoint as save_checkpoint
from .checkpoints.checkpoint import shipped as shipped
from .enhancement.enhance import Enhancement as Enhancement
from .enhancement.enhance import enhance as enhance
from .enhancement.streaming import SpeechStream as SpeechStream
from .enhancement.streaming import enhance_stream as enhance_stream
from .errors import UserError as UserError
from .inference.infer import Inference as Inference
from .inference.infer import infer as infer
from .training.run import train as train
from .utterances import Utterances as Utterances
from .version import __version__ as __version__
