"""nanoGPT's CPU setting for the characters of tiny_shakespeare, in eager PyTorch: the reference for mini_transformer.

    python benchmarks/references/nanogpt.py --seed 0        # prints one JSON object

4 blocks, 4 heads, 128 features, windows of 64, batches of 12, 2000 steps of AdamW: the settings in the README of
github.com/karpathy/nanoGPT (MIT license), with our data splits.
"""

import json
import math
import time

import cyclopts
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

import kerasfound as kf

LAYERS, HEADS, WIDTH, BLOCK, BATCH, STEPS, WARM_UP = 4, 4, 128, 64, 12, 2000, 100
MAX_RATE, MIN_RATE = 1e-3, 1e-4


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(WIDTH, bias=False), nn.LayerNorm(WIDTH, bias=False)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.widen, self.narrow = nn.Linear(WIDTH, 4 * WIDTH, bias=False), nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x):
        q, k, v = (
            z.view(*x.shape[:2], HEADS, WIDTH // HEADS).transpose(1, 2)
            for z in self.qkv(self.norm_1(x)).split(WIDTH, dim=2)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(x.shape))
        return x + self.narrow(F.gelu(self.widen(self.norm_2(x))))


class GPT(nn.Module):
    def __init__(self, characters):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(characters, WIDTH), nn.Embedding(BLOCK, WIDTH)
        self.blocks, self.norm = nn.Sequential(*[Block() for _ in range(LAYERS)]), nn.LayerNorm(WIDTH, bias=False)
        self.head = nn.Linear(WIDTH, characters, bias=False)
        self.apply(self.initialize)
        for block in self.blocks:
            for layer in (block.out, block.narrow):
                nn.init.normal_(layer.weight, std=0.02 / math.sqrt(2 * LAYERS))
        self.head.weight = self.tokens.weight

    @staticmethod
    def initialize(layer):
        if isinstance(layer, nn.Linear | nn.Embedding):
            nn.init.normal_(layer.weight, std=0.02)

    def forward(self, ids):
        return self.head(self.norm(self.blocks(self.tokens(ids) + self.positions.weight)))


def learning_rate(step: int) -> float:
    if step < WARM_UP:
        return MAX_RATE * (step + 1) / (WARM_UP + 1)
    return MIN_RATE + (MAX_RATE - MIN_RATE) * 0.5 * (1 + math.cos(math.pi * (step - WARM_UP) / (STEPS - WARM_UP)))


def loss_on(model: GPT, split: kf.data.Split) -> float:
    """Return the mean cross-entropy over all non-overlapping windows."""
    x, y = (torch.from_numpy(a.astype("int64")) for a in kf.data.windows(split, BLOCK, stride=BLOCK))
    with torch.no_grad():
        return float(F.cross_entropy(model(x).flatten(0, 1), y.flatten()))


def main(seed: int = 0, data: str = "tiny_shakespeare") -> None:
    """Train once, and print training seconds, validation loss and test loss."""
    text = kf.data.load(data, task="text_generation")
    x, y = kf.data.windows(text.train, BLOCK)
    torch.manual_seed(seed)
    rng, model = np.random.default_rng(seed), GPT(len(text.schema.labels))
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    rest = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=MAX_RATE, betas=(0.9, 0.99))
    started = time.perf_counter()
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        rows = rng.integers(0, len(x), BATCH)
        ids, targets = (torch.from_numpy(a[rows].astype("int64")) for a in (x, y))
        loss = F.cross_entropy(model(ids).flatten(0, 1), targets.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    seconds = time.perf_counter() - started
    print(
        json.dumps(
            {
                "seconds": round(seconds, 1),
                "validation": round(loss_on(model, text.validation), 4),
                "test": round(loss_on(model, text.test), 4),
            }
        )
    )


if __name__ == "__main__":
    cyclopts.run(main)
