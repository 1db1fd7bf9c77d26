"""Published AudioLDM checkpoints: their names and configs converted to ours.

"diffusers": the folder ``unet``, and beside it ``vae`` and ``scheduler``. "haoheliu": one file with all networks.
"amphion": ``{"model": {"unet....": ...}}``, and the file of the autoencoder.
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

import amphion_core as amphion
from amphion_core.checkpoints.publisher_values import Values, flat_values
from amphion_core.checkpoints.weight_names import strip_prefix, unwrap
from amphion_core.config import BaseConfig, validate
from amphion_core.errors import WeightsError
from amphion_tta.models import compvis_names

HEAD_DIM = 32  # values of each head in the authors' AudioLDM
HEADS = 8  # of each level in Amphion's AudioLDM
AMPHION_AUTOENCODER: dict[str, Any] = {
    "mel": "tta_16k_80", "channels": (128, 128, 256, 256, 512), "latent_channels": 4, "attention": False,
    "time_first": False,
}  # fmt: skip
FOLDERS = {
    "vae": ("../vae/diffusion_pytorch_model.safetensors", "../vae/diffusion_pytorch_model.bin"),
    "vae_config": ("../vae/config.json",),
    "scheduler": ("../scheduler/scheduler_config.json",),
}
"""Further files beside the folder ``unet`` of diffusers."""

Found = tuple[Any, dict[str, Tensor]]


def read_folder(schema: type[BaseConfig], state: Mapping[str, Any], config: Mapping[str, Any]) -> Found:
    """The folders that diffusers writes, with the files of `FOLDERS` in ``config``. Raises WeightsError."""
    if not isinstance(config.get("vae"), Mapping):
        raise WeightsError(
            "the autoencoder of the model is missing",
            hint="keep the publisher's folders unet, vae and scheduler beside each other, and name unet",
        )
    given = flat_values({key: value for key, value in config.items() if key not in FOLDERS})
    tensors = strip_prefix(state, "module.")
    heads = given.get("num_attention_heads") or given.get("attention_head_dim")
    if heads is None:
        raise given.wrong("attention_head_dim", "the number of heads")
    fields = unet_fields(tensors, heads, given)
    scheduler = flat_values(config.get("scheduler") if isinstance(config.get("scheduler"), Mapping) else None)
    return joined(
        schema, fields | _diffusion(scheduler), tensors,
        read_autoencoder(config["vae"], "diffusers", config.get("vae_config")),
    )  # fmt: skip


def read_single_file(schema: type[BaseConfig], state: Mapping[str, Any]) -> Found:
    """The authors' single file. Raises WeightsError."""
    state = unwrap(state, "state_dict")
    named = compvis_names.only(state, ("",), "model.diffusion_model.")
    tensors = compvis_names.unet_names(named, blocks=_blocks(named))
    widths = _widths(tensors)
    heads = [max(1, size // HEAD_DIM) for size in widths]
    fields = unet_fields(tensors, heads, flat_values(None))
    return joined(schema, fields, tensors, read_autoencoder(state, "haoheliu", None))


def read_amphion(schema: type[BaseConfig], state: Mapping[str, Any], config: Mapping[str, Any] | None) -> Found:
    """Amphion's UNet; ``config`` has the tensors of its autoencoder under ``autoencoder``. Raises WeightsError."""
    given = dict(config or {})
    autoencoder = given.pop("autoencoder", None)
    if not isinstance(autoencoder, Mapping):
        raise WeightsError(
            "the publisher's autoencoder is in another file, and that is missing",
            hint="amphion convert tta/audioldm_t5 FILE --layout amphion --file autoencoder=AUTOENCODER_FILE -o FOLDER",
        )
    named = strip_prefix(strip_prefix(unwrap(state, "model", "state_dict"), "module."), "unet.")
    tensors = compvis_names.unet_names(named, blocks=_blocks(named))
    values = flat_values(given)
    fields = unet_fields(tensors, values.whole("num_heads", HEADS), values)
    return joined(schema, fields, tensors, read_autoencoder(autoencoder, "amphion", None))


def joined(schema: type[BaseConfig], fields: dict[str, Any], unet: Mapping[str, Tensor], autoencoder: Found) -> Found:
    """The config, and the tensors of both networks under our names."""
    found, tensors = autoencoder
    fields = fields | {"autoencoder": {"name": "autoencoder/kl", **found.model_dump(mode="json")}}
    if found.latent_scale != 1:
        fields["latent_scale"] = found.latent_scale
    config: Any = validate(schema, fields, where="the published model")
    state = {f"unet.network.{name}": tensor for name, tensor in unet.items()}
    state |= {f"autoencoder.{name}": tensor for name, tensor in tensors.items()}
    state["unet.latent_scale"] = next(iter(unet.values())).new_tensor(
        found.latent_scale if config.latent_scale is None else config.latent_scale
    )
    return config, state


def read_autoencoder(state: Mapping[str, Any], layout: str, config: Any) -> Found:
    """A published autoencoder as (Config, state dict). Raises WeightsError."""
    architecture = amphion.get("models", "autoencoder/kl")
    stated = config if isinstance(config, Mapping) else None
    found: Found = architecture.import_state_dict(state, layout=layout, config=stated)
    return found


def _blocks(named: Mapping[str, Any]) -> int:
    """Residual blocks of each level of a UNet of CompVis: those before the first block that halves the size."""
    halving = [int(found[1]) for name in named if (found := re.match(r"input_blocks\.([0-9]+)\.0\.op\.", name))]
    return (min(halving) if halving else compvis_names.count(named, r"input_blocks\.([0-9]+)\.")) - 1


def _widths(tensors: Mapping[str, Any]) -> list[int]:
    """Channels of each level of a UNet with the names of diffusers. Raises WeightsError."""
    levels = compvis_names.count(tensors, r"down_blocks\.([0-9]+)\.")
    names = [f"down_blocks.{level}.resnets.0.conv2.weight" for level in range(levels)]
    if not levels or any(name not in tensors for name in names):
        raise WeightsError(
            f"this is no UNet of AudioLDM: it begins with {', '.join(list(tensors)[:2]) or 'nothing'}",
            hint="give the publisher's file of the UNet, and check the layout: amphion info tta/audioldm",
        )
    return [int(tensors[name].shape[0]) for name in names]


def unet_fields(tensors: Mapping[str, Any], heads: Any, given: Values) -> dict[str, Any]:
    """The fields that the tensors of a UNet show; ``heads`` are those of each level, or one number for all."""
    widths = _widths(tensors)
    inputs = [f"down_blocks.{level}.attentions.0.proj_in.weight" for level in range(len(widths))]
    middle = tensors.get("mid_block.attentions.0.proj_in.weight")
    unet = {
        "channels": widths,
        "blocks": compvis_names.count(tensors, r"down_blocks\.0\.resnets\.([0-9]+)\."),
        "attention": [name in tensors for name in inputs],
        "heads": list(heads) if isinstance(heads, list | tuple) else [heads] * len(widths),
        "groups": given.whole("norm_num_groups", 32),
        "linear_projection": isinstance(middle, Tensor) and middle.dim() == 2,
    }
    read = tensors.get("class_embedding.weight")
    if read is None:  # a network without FiLM reads the states of the caption
        read = tensors.get("mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight")
    size = {"condition_dim": int(read.shape[1])} if isinstance(read, Tensor) and read.dim() == 2 else {}
    return {"unet": unet, **size}


def _diffusion(scheduler: Values) -> dict[str, Any]:
    """The diffusion that a scheduler of diffusers states, where it is there."""
    if "beta_start" not in scheduler:
        return {}
    return {
        "diffusion": {
            "steps": scheduler.whole("num_train_timesteps", 1000),
            "first_noise": scheduler.number("beta_start"),
            "last_noise": scheduler.number("beta_end"),
            "schedule": scheduler.text("beta_schedule", "scaled_linear"),
            "prediction": scheduler.text("prediction_type", "epsilon"),
            "clip": "never",
        }
    }
