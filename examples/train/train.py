"""Train a small character-level language model on a few sonnets: on the GPU where there is one, else on the CPU.

The model is the one of Bengio et al., "A Neural Probabilistic Language Model" (2003): the last characters, each as
a vector, through one hidden layer to a distribution over the next character. Every step prints its loss.

NVIDIA Warp compiles the kernels below for whichever device it finds and differentiates them itself. It brings its
own compilers, and on a GPU it needs nothing but the driver: no CUDA toolkit, no cuDNN.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import warp as wp

CONTEXT = 12  # characters that the next one is guessed from
VECTOR = 16  # numbers that stand for a character
HIDDEN = 96

wp.config.log_level = wp.LOG_WARNING
wp.config.kernel_cache_dir = str(Path(tempfile.gettempdir()) / "warp-kernels")
wp.set_module_options({"max_unroll": 1})  # unrolled loops would take longer to compile than to run


@wp.kernel
def look_up(text: wp.array2d(dtype=int), vectors: wp.array2d(dtype=float), out: wp.array2d(dtype=float)):
    row, place, i = wp.tid()
    out[row, place * VECTOR + i] = vectors[text[row, place], i]


# A product and what bends it are two kernels: Warp's derivative of a loop is right where the loop only adds up.
@wp.kernel
def product(
    given: wp.array2d(dtype=float),
    weights: wp.array2d(dtype=float),
    bias: wp.array(dtype=float),
    out: wp.array2d(dtype=float),
):
    row, unit = wp.tid()
    total = bias[unit]
    for i in range(given.shape[1]):
        total += given[row, i] * weights[i, unit]
    out[row, unit] = total


@wp.kernel
def bend(given: wp.array2d(dtype=float), out: wp.array2d(dtype=float)):
    row, unit = wp.tid()
    out[row, unit] = wp.tanh(given[row, unit])


@wp.kernel
def exponentials(scores: wp.array2d(dtype=float), sums: wp.array(dtype=float)):
    row, letter = wp.tid()
    wp.atomic_add(sums, row, wp.exp(scores[row, letter]))


@wp.kernel
def cross_entropy(
    scores: wp.array2d(dtype=float),
    sums: wp.array(dtype=float),
    answer: wp.array(dtype=int),
    loss: wp.array(dtype=float),
):
    row = wp.tid()
    wp.atomic_add(loss, 0, (wp.log(sums[row]) - scores[row, answer[row]]) / float(answer.shape[0]))


class Model:
    """The parameters, on one device."""

    def __init__(self, letters: int, random: np.random.Generator, device: str) -> None:
        def parameter(*shape: int, spread: float = 0.0) -> wp.array:
            values = (random.standard_normal(shape) * spread).astype(np.float32)
            return wp.array(values, dtype=float, device=device, requires_grad=True)

        self.letters = letters
        self.device = device
        self.vectors = parameter(letters, VECTOR, spread=1.0)
        self.first = parameter(CONTEXT * VECTOR, HIDDEN, spread=(CONTEXT * VECTOR) ** -0.5)
        self.first_bias = parameter(HIDDEN)
        self.second = parameter(HIDDEN, letters, spread=0.01)
        self.second_bias = parameter(letters)

    @property
    def parameters(self) -> list:
        """Every parameter as one row of numbers, as the optimizer wants them."""
        arrays = (self.vectors, self.first, self.first_bias, self.second, self.second_bias)
        return [array.flatten() for array in arrays]

    def launch(
        self, kernel: wp.Kernel, shape: tuple[int, ...], *inputs: wp.array, grid: tuple[int, ...] = ()
    ) -> wp.array:
        """Run a kernel over a new array of this shape (or over another grid) and return the array."""
        out = wp.zeros(shape, dtype=float, device=self.device, requires_grad=True)
        wp.launch(kernel, dim=grid or shape, inputs=inputs, outputs=[out], device=self.device)
        return out

    def scores(self, text: np.ndarray) -> wp.array:
        """One row of scores, one for each letter, for each row of text."""
        rows = len(text)
        given = wp.array(text, dtype=int, device=self.device)
        width = CONTEXT * VECTOR
        joined = self.launch(look_up, (rows, width), given, self.vectors, grid=(rows, CONTEXT, VECTOR))
        hidden = self.launch(
            bend, (rows, HIDDEN), self.launch(product, (rows, HIDDEN), joined, self.first, self.first_bias)
        )
        return self.launch(product, (rows, self.letters), hidden, self.second, self.second_bias)

    def loss(self, text: np.ndarray, answers: np.ndarray) -> wp.array:
        """The mean cross entropy, in nats a character."""
        rows = len(text)
        scores = self.scores(text)
        answer = wp.array(answers, dtype=int, device=self.device)
        sums = self.launch(exponentials, (rows,), scores, grid=(rows, self.letters))
        return self.launch(cross_entropy, (1,), scores, sums, answer, grid=(rows,))


def train(model: Model, text: np.ndarray, steps: int, batch: int, random: np.random.Generator) -> tuple[float, float]:
    """Run the steps; return the first and the last loss (the mean of five, for a batch says little)."""
    from warp.optim import Adam

    parameters = model.parameters
    optimizer = Adam(parameters, lr=0.01)
    losses = []
    for step in range(1, steps + 1):
        starts = random.integers(0, len(text) - CONTEXT, batch)
        tape = wp.Tape()
        with tape:
            loss = model.loss(text[starts[:, None] + np.arange(CONTEXT)], text[starts + CONTEXT])
        tape.backward(loss)
        optimizer.step([parameter.grad for parameter in parameters])
        losses.append(float(loss.numpy()[0]))
        tape.zero()
        print(f"step {step:4d}  loss {losses[-1]:.4f}", flush=True)
    return float(np.mean(losses[:5])), float(np.mean(losses[-5:]))


def write(model: Model, text: np.ndarray, letters: str, count: int, random: np.random.Generator) -> str:
    """Let the model go on from the beginning of the text."""
    known = list(text[:CONTEXT])
    for _ in range(count):
        scores = model.scores(np.array([known[-CONTEXT:]], dtype=np.int32)).numpy()[0].astype(np.float64)
        chances = np.exp((scores - scores.max()) / 0.7)
        known.append(int(random.choice(len(letters), p=chances / chances.sum())))
    return "".join(letters[index] for index in known)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--steps", type=int, default=200)
    options.add_argument("--batch", type=int, default=64)
    options.add_argument("--seed", type=int, default=1609)
    options.add_argument("--device", help="cpu or cuda:N; a GPU if there is one")
    options.add_argument("--data", type=Path, default=Path(__file__).with_name("data") / "sonnets.txt")
    chosen = options.parse_args()

    device = wp.get_device(chosen.device) if chosen.device else wp.get_preferred_device()
    print(f"training on {device.alias} ({device.name}), warp {wp.config.version}", flush=True)

    content = chosen.data.read_text(encoding="utf-8")
    letters = "".join(sorted(set(content)))
    text = np.array([letters.index(letter) for letter in content], dtype=np.int32)
    random = np.random.default_rng(chosen.seed)
    model = Model(len(letters), random, device.alias)

    began = time.monotonic()
    first, last = train(model, text, chosen.steps, chosen.batch, random)
    print(f"{chosen.steps} steps in {time.monotonic() - began:.1f} s: loss {first:.4f} → {last:.4f}")
    print(write(model, text, letters, 200, random))
    if chosen.steps >= 50 and last >= first:
        print("the loss did not fall", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
