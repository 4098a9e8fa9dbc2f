"""Operations of a step of preset `small`, counted without computing any.

    python -m tests.benchmarks.count_small

Prints, for the stages that take the time, TFLOP of a step forward and backward, and of Muon's products.
"""

from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from model.adapter.adapter import SizeAdapter
from model.adapter.body_maps import NUM_BODY_MAPS
from model.bases.tiny.networks import SMALL, SmallBase, build_tiny_base
from model.judges.critic import SizeCritic
from tests.gpu.elsewhere import ELSEWHERE, elsewhere
from tests.gpu.setting import people
from tests.sizes import MEANINGS, UPPER
from train.keyed_random import KeyedRandom
from train.muon import ITERATIONS, is_matrix
from train.params import LossParams
from train.sample_encoder import SampleEncoder
from train.tryon import TryOnTask

BATCH_SIZE = 32
LOSS = LossParams(noise_bias=3.0, pixels=8.0, size_min_snr=0.0)  # as params.yaml has it


def task_of(stage: str) -> TryOnTask:
    """What a stage trains."""
    base = build_tiny_base(SMALL, 0, SmallBase).requires_grad_(False)
    base.tryon_unet.requires_grad_(stage != "size")
    base.garment_unet.requires_grad_(stage == "unets")
    encoder = SampleEncoder(base)
    if stage == "unets":
        return TryOnTask(base, encoder, loss=LOSS, text_dropout=0.1)
    critic = SizeCritic(base.latent_channels, NUM_BODY_MAPS, UPPER, ["upper"]).requires_grad_(False)
    adapter = SizeAdapter.for_sites(base.sites(), MEANINGS)
    return TryOnTask(base, encoder, loss=LOSS, adapter=adapter, critic=critic)


def step_flops(task: TryOnTask) -> int:
    """Of a step, forward and backward."""
    seen = people(BATCH_SIZE, (SMALL.image_height, SMALL.image_width))
    with elsewhere(), FlopCounterMode(display=False) as counter:
        task.to(ELSEWHERE)
        task(seen, KeyedRandom(0, seen.position))["loss"].backward()
    return counter.get_total_flops()


def muon_flops(task: nn.Module) -> tuple[int, int, int]:
    """Of the orthogonalisations of a step, of how many matrices, and of how many shapes these are."""
    matrices = [weight for weight in task.parameters() if weight.requires_grad and is_matrix(weight)]
    shapes = [(weight.shape[0], weight[0].numel()) for weight in matrices]
    total = 0
    for short, long in map(sorted, shapes):
        total += ITERATIONS * 2 * short**2 * (2 * long + short)
    return total, len(shapes), len(set(shapes))


def main() -> None:
    """Count and print."""
    for stage in ("unets", "size", "joint"):
        task = task_of(stage)
        products, count, shapes = muon_flops(task)
        flops = step_flops(task)
        muon = f"Muon {products / 1e12:.2f} of {count} matrices in {shapes} shapes"
        print(f"{stage}: {flops / 1e12:.2f} TFLOP, {muon}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
