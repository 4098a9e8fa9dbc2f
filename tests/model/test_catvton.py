"""What is CatVTON's own: a canvas of two halves, attention without text, and the real shapes."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from model.adapter.adapter import SizeAdapter
from model.adapter.body_maps import NUM_BODY_MAPS
from model.bases import open_base
from model.bases.catvton.doctor import (
    ADAPTER_WEIGHTS,
    examine,
    find_problems,
    full_size_config,
    to_draw,
    to_train,
)
from model.bases.catvton.loading import make_unet, named_attention, released_names
from model.bases.catvton.networks import CatvtonBase, CatvtonConditioning, above_nothing, for_canvas
from model.bases.conditions import SizeCondition
from model.bases.memory import GIB
from model.params import SWITCHES
from model.publishing import load_pipeline, save_pipeline
from model.weights import assign_weights
from tests.model.catvton import small_autoencoder, small_base, unet_config, write_released
from tests.model.conftest import jolt, photos
from tests.model.full_size import fp16_megabytes, meta
from tests.sizes import MEANINGS

RELEASED = {
    "down_blocks.0": ((0, 8), 320),
    "down_blocks.1": ((16, 24), 640),
    "down_blocks.2": ((32, 40), 1280),
    "up_blocks.1": ((48, 56, 64), 1280),
    "up_blocks.2": ((72, 80, 88), 640),
    "up_blocks.3": ((96, 104, 112), 320),
    "mid_block": ((120,), 1280),
}
"""By block: the numbers of its layers in the released file, and their width."""


@pytest.fixture(scope="module")
def small() -> CatvtonBase:
    return small_base().requires_grad_(False)


@pytest.fixture
def full() -> CatvtonBase:
    with torch.device("meta"):
        unet = make_unet(full_size_config())
    return CatvtonBase(
        unet=unet, vae=small_autoencoder(), scheduler=small_base().scheduler, released_attention=True
    )


def released_attention() -> dict[str, Tensor]:
    """The shapes of the released attention file."""
    shapes: dict[str, Tensor] = {}
    for numbers, width in RELEASED.values():
        for number in numbers:
            projections = ("to_q", "to_k", "to_v", "to_out.0")
            shapes |= {f"{number}.{name}.weight": meta(width, width) for name in projections}
            shapes[f"{number}.to_out.0.bias"] = meta(width)
    return shapes


def test_the_released_numbers_are_the_layers_of_the_real_network(full: CatvtonBase) -> None:
    attention = released_attention()
    assert (len(attention), sum(weight.numel() for weight in attention.values())) == (80, 49_574_080)
    names = released_names(full.unet)
    for block, (numbers, _) in RELEASED.items():
        for place, number in enumerate(numbers):
            layer = f"{block}.attentions.{place}.transformer_blocks.0.attn1"
            assert names[f"{number}.to_out.0.bias"] == f"{layer}.to_out.0.bias"


def test_the_real_shapes_load(full: CatvtonBase) -> None:
    """Stable Diffusion 1.5's UNet has 859,520,964 weights; 5 more input channels are 320 kernels of 3 x 3."""
    weights = {name: meta(*tensor.shape) for name, tensor in full.unet.state_dict().items()}
    assert len(weights) == 686
    assert sum(weight.numel() for weight in weights.values()) == 859_520_964 + 5 * 320 * 9
    weights |= named_attention(full.unet, released_attention(), Path("attention"))
    assign_weights(full.unet, weights, Path("unet"), torch.float16)
    assert full.unet.conv_in.weight.shape == (320, 9, 3, 3)


@torch.no_grad()
@pytest.mark.parametrize("latent_hw", [(64, 48), (128, 96)])
def test_the_full_size_adapter_is_small_and_cheap(full: CatvtonBase, latent_hw: tuple[int, int]) -> None:
    with torch.device("meta"):
        adapter = SizeAdapter.for_sites(full.sites(), MEANINGS, encoder="hybrid")
    assert fp16_megabytes(adapter) <= 40
    latents = meta(1, 4, *latent_hw)
    told = CatvtonConditioning(mask=latents[:, :1], masked_latents=latents, garment_latents=latents)

    def flops(size: bool) -> int:
        with FlopCounterMode(display=False) as counter:
            maps = meta(1, NUM_BODY_MAPS, *latent_hw)
            answer = adapter(meta(1, 3), maps, garment_features=meta(1, 64)) if size else None
            full.predict(told.known, torch.zeros((), device="meta"), told, answer)
        return counter.get_total_flops()

    assert flops(size=False) < flops(size=True) <= 1.05 * flops(size=False)


def test_residuals_end_where_the_garment_begins(small: CatvtonBase) -> None:
    """34 rows of canvas are 17 one level down, of which the person's 17 rows are 9."""
    sites = small.sites()
    residuals = tuple(torch.ones(1, place.channels, -(-17 // 2**place.level), 3) for place in sites.residuals)
    placed = for_canvas(SizeCondition(embedding=torch.zeros(1, 1), residuals=residuals), sites, 34).residuals
    assert placed is not None
    for before, after, place in zip(residuals, placed, sites.residuals, strict=True):
        assert after.shape[2] == -(-34 // 2**place.level)
        assert after.sum() == before.sum() == after[:, :, : before.shape[2]].sum()
    assert above_nothing(torch.ones(1, 1, 1, 1), 3).flatten().tolist() == [1, 0, 0]


@torch.no_grad()
def test_tokens_speak_to_the_person_alone(small: CatvtonBase) -> None:
    attn = small.unet.down_blocks[0].attentions[0].transformer_blocks[0].attn2
    layer = "down_blocks.0.attentions.0.transformer_blocks.0.attn2"
    states = torch.randn(1, 6, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(attn(states), states)
    said = attn(states, size_tokens={layer: (torch.ones(1, 2, 16), torch.full((1, 2, 16), 0.5))})
    torch.testing.assert_close(
        said - states, torch.tensor([0.5, 0.5, 0.5, 0, 0, 0])[None, :, None].expand(1, 6, 16)
    )


def test_low_rank_updates_and_attention_learn_where_something_runs() -> None:
    for layers, expected in (("attention", 5 * 10), ("lora", None), ("all", None)):
        base = small_base().requires_grad_(False)
        weights = base.trainable(layers, rank=2)
        assert len(weights) == (expected or len(weights))
        with torch.no_grad():
            told = base.told(photos())
            for name, weight in weights.items():
                if "lora_B" in name:
                    weight.fill_(0.01)
        base.predict(torch.ones_like(told.canvas), torch.tensor(300), told).square().mean().backward()
        assert [
            name for name, weight in weights.items() if weight.grad is None or not weight.grad.any()
        ] == []


@torch.no_grad()
def test_fewer_queries_at_a_time_are_the_same_picture(small: CatvtonBase) -> None:
    told, step = small.told(photos()), torch.tensor(300)
    noise = torch.ones_like(told.canvas)
    whole = small.predict(noise, step, told)
    small.save_memory(SWITCHES["8"], "cpu")
    for processor in small.unet.attn_processors.values():
        if hasattr(processor, "chunk"):
            assert processor.chunk == 1024
            processor.chunk = 5
    torch.testing.assert_close(small.predict(noise, step, told), whole, rtol=0, atol=1e-5)
    small.save_memory(SWITCHES["off"], "cpu")


def test_without_catvtons_attention_it_is_a_base_to_train(tmp_path: Path) -> None:
    base = small_base()
    weights = small_weights()
    plain = CatvtonBase.from_pretrained(write_released(tmp_path / "plain", unet_config(), weights))
    assert (plain.licence, base.licence) == ("creativeml-openrail-m", "cc-by-nc-sa-4.0")
    assert all(torch.equal(plain.unet.state_dict()[name], weight) for name, weight in weights.items())
    plain.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved" / "attention").exists()


def small_weights() -> dict[str, Tensor]:
    return {name: weight.clone() for name, weight in small_base().unet.state_dict().items()}


def test_a_network_that_is_not_for_inpainting_is_refused(tmp_path: Path) -> None:
    root = write_released(tmp_path, unet_config() | {"in_channels": 4}, small_weights())
    with pytest.raises(ValueError, match="must be a UNet for inpainting, which reads 9 channels, got 4"):
        CatvtonBase.from_pretrained(root)


def test_weights_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    weights = small_weights() | {"conv_extra.weight": torch.zeros(1)}
    del weights["conv_in.bias"]
    root = write_released(tmp_path, unet_config(), weights)
    with pytest.raises(ValueError, match=r"1 missing:\n  conv_in.bias\n1 not expected:\n  conv_extra.weight"):
        CatvtonBase.from_pretrained(root)


def test_an_autoencoder_that_lacks_a_weight_is_refused(tmp_path: Path) -> None:
    root = write_released(tmp_path, unet_config(), small_weights())
    vae = root / "vae" / "diffusion_pytorch_model.safetensors"
    kept = {name: weight.clone() for name, weight in load_file(vae).items() if name != "quant_conv.bias"}
    save_file(kept, vae, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"vae are not those of its configuration.*quant_conv\.bias"):
        CatvtonBase.from_pretrained(root)


def test_a_published_folder_says_whose_it_is_and_opens(small: CatvtonBase, tmp_path: Path) -> None:
    adapter = jolt(SizeAdapter.for_sites(small.sites(), MEANINGS))
    save_pipeline(small, adapter, tmp_path, picture={})
    assert "license: cc-by-nc-sa-4.0\n" in (tmp_path / "README.md").read_text()
    assert type(open_base(tmp_path)) is CatvtonBase
    base, loaded, _ = load_pipeline(tmp_path)
    for ours, theirs in ((small, base), (adapter, loaded)):
        assert all(torch.equal(theirs.state_dict()[name], w) for name, w in ours.state_dict().items())


def test_the_doctor_reads_headers_alone(small: CatvtonBase, tmp_path: Path) -> None:
    small.save_pretrained(tmp_path)
    assert find_problems(small.unet, tmp_path) == []
    weights = tmp_path / "attention" / "model.safetensors"
    kept = load_file(weights)
    del kept["8.to_q.weight"]
    save_file(kept, weights)
    (problem,) = find_problems(small.unet, tmp_path)
    assert problem.endswith("1 missing:\n  8.to_q.weight")
    weights.unlink()
    shutil.rmtree(tmp_path / "vae")
    (tmp_path / "scheduler" / "scheduler_config.json").unlink()
    assert find_problems(small.unet, tmp_path) == [
        f"{tmp_path / 'vae'}: missing",
        f"no scheduler_config.json in {tmp_path / 'scheduler'}",
        f"no model.safetensors in {tmp_path / 'attention'}",
    ]
    shutil.rmtree(tmp_path / "attention")
    _, told = examine(tmp_path)
    assert told[0].startswith(f"{tmp_path}: without attention/model.safetensors of CatVTON")


def test_8_gb_hold_the_training_of_the_adapter(full: CatvtonBase) -> None:
    """0.94 G frozen weights in half precision are 1.8 GiB; 16 bytes of each of 4.5 M that learn, 0.07."""
    assert 1.8 < to_train(859_535_364, stored=2).counted / GIB < 1.9
    assert sum(to_train(859_535_364, stored=4)) < 8 * GIB
    needed = {name: sum(to_draw(859_535_364, switches, 4)) for name, switches in SWITCHES.items()}
    assert needed["8"] < needed["16"] < needed["24"] < needed["off"]
    assert needed["8"] < 3 * GIB
    with torch.device("meta"):
        adapter = SizeAdapter.for_sites(full.sites(), MEANINGS, encoder="hybrid")
    assert sum(weight.numel() for weight in adapter.parameters()) == ADAPTER_WEIGHTS
