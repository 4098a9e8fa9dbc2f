"""Time the garment attention against the straightforward form, and a strip of sizes against single runs.

Run: `OMP_NUM_THREADS=1 python -m tests.benchmarks.bench_tryon`. Process time and peak memory of one process.
"""

import time
from collections.abc import Callable
from operator import itemgetter

import torch
from torch import Tensor

from model.adapter.adapter import SizeAdapter
from model.adapter.body_maps import NUM_BODY_MAPS
from model.bases.conditions import SizeCondition
from model.bases.sdxl.conditioning import SdxlConditioning
from model.bases.sdxl.networks import SdxlBase, garment_pass, predict_noise
from model.bases.tiny.networks import TinyPreset, build_tiny_base
from model.params import DrawingOptions
from model.sampling import sample_tryon
from tests.model.reference import use_concatenate_and_slice
from tests.sizes import MEANINGS

STRIP = 7
STEPS = 10
RUNS = 3


def seconds(work: Callable[[], object]) -> float:
    """Return the least process time of a few runs (s)."""
    work()
    times = []
    for _ in range(RUNS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def peak_bytes(work: Callable[[], object]) -> int:
    """Return the most memory that tensors held at once during `work`, counted by the profiler."""
    with torch.profiler.profile(profile_memory=True, record_shapes=False) as profile:
        work()
    events = profile.profiler.kineto_results.events()
    held = most = 0
    for event in sorted((e for e in events if e.name() == "[memory]"), key=lambda e: e.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


def conditioning_for(preset: TinyPreset, latent_hw: tuple[int, int], batch: int) -> SdxlConditioning:
    """Return random conditioning."""
    width = 2 * preset.text_width
    return SdxlConditioning(
        mask=torch.ones(batch, 1, *latent_hw),
        masked_latents=torch.randn(batch, 4, *latent_hw),
        densepose_latents=torch.randn(batch, 4, *latent_hw),
        text=torch.randn(batch, preset.text_tokens, width),
        pooled_text=torch.randn(batch, preset.text_width),
        time_ids=torch.full((batch, 6), 100.0),
        image_tokens=torch.randn(batch, 16, width),
        garment_latents=torch.randn(batch, 4, *latent_hw),
        garment_text=torch.randn(batch, preset.text_tokens, width),
    )


def compare_with_straightforward(base: SdxlBase, preset: TinyPreset) -> None:
    """Print time and peak memory of a step at latents 64 x 48, ours and concatenate-and-slice."""
    conditioning = conditioning_for(preset, (64, 48), batch=1)
    noise, timestep = torch.randn(1, 4, 64, 48), torch.tensor(500)
    with torch.no_grad():
        tokens = garment_pass(base, conditioning, timestep)

    def step() -> Tensor:
        base.zero_grad()
        prediction = predict_noise(base.tryon_unet, noise, timestep, conditioning, tokens)
        prediction.square().mean().backward()
        return prediction.detach()

    ours, ours_seconds, ours_bytes = step(), seconds(step), peak_bytes(step)
    use_concatenate_and_slice(base.tryon_unet)
    theirs, theirs_seconds, theirs_bytes = step(), seconds(step), peak_bytes(step)
    report("forward + backward at latents 64x48", ours_seconds, theirs_seconds)
    report("peak memory of the same (MB)", ours_bytes / 1e6, theirs_bytes / 1e6)
    report("largest difference", (ours - theirs).abs().max().item(), 1e-5)


@torch.no_grad()
def compare_strip(base: SdxlBase, preset: TinyPreset) -> None:
    """Print the time of a strip of sizes and of the same sizes one by one."""
    latent_hw = (preset.image_height // 4, preset.image_width // 4)
    person = conditioning_for(preset, latent_hw, batch=1)
    noise = torch.randn(1, 4, *latent_hw)
    adapter = SizeAdapter.for_sites(base.sites(), MEANINGS)
    for weight in adapter.parameters():
        weight.add_(0.05 * torch.randn_like(weight))
    ratios = torch.linspace(0.8, 1.6, STRIP)[:, None].repeat(1, 3)
    size = adapter(ratios, torch.rand(STRIP, NUM_BODY_MAPS, *latent_hw))

    def sample(which: SizeCondition, every: int) -> Tensor:
        options = DrawingOptions(num_steps=STEPS, size_guidance=1.0, garment_refresh=every)
        return sample_tryon(base, person, options, size=which, noise=noise)

    rows = [size.map(itemgetter([row])) for row in range(STRIP)]
    for every in (0, 1):
        strip = seconds(lambda every=every: sample(size, every))
        single = seconds(lambda every=every: [sample(row, every) for row in rows])
        report(f"strip of {STRIP}, garment_refresh={every}", strip, single)
        apart = torch.cat([sample(row, every) for row in rows])
        report("largest difference", (sample(size, every) - apart).abs().max().item(), 1e-4)


@torch.no_grad()
def compare_refresh(base: SdxlBase, preset: TinyPreset) -> None:
    """Print what recomputing the garment tokens costs in time and changes in the latents."""
    latent_hw = (preset.image_height // 4, preset.image_width // 4)
    person = conditioning_for(preset, latent_hw, batch=1)
    noise = torch.randn(1, 4, *latent_hw)

    def sample(every: int) -> Tensor:
        options = DrawingOptions(num_steps=STEPS, garment_refresh=every)
        return sample_tryon(base, person, options, noise=noise)

    each, each_seconds = sample(1), seconds(lambda: sample(1))
    for every in (0, 5, 2):
        report(f"garment_refresh={every} against 1", seconds(lambda every=every: sample(every)), each_seconds)
        report("relative difference", ((sample(every) - each).norm() / each.norm()).item(), 1.0)


def report(what: str, ours: float, reference: float) -> None:
    """Print one line of the comparison."""
    print(f"{what:45} {ours:10.4g} {reference:10.4g}   {ours / reference:.3f}")  # noqa: T201


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    tiny = TinyPreset()
    compare_strip(build_tiny_base(tiny, seed=0), tiny)
    compare_refresh(build_tiny_base(tiny, seed=0), tiny)
    compare_with_straightforward(build_tiny_base(tiny, seed=0), tiny)
