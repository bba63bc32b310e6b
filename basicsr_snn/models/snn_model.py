"""Training, validation and test of spiking restorers in BasicSR's loop."""
from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial
from typing import Any

import torch
from basicsr.losses import build_loss
from basicsr.models.sr_model import SRModel
from basicsr.utils import get_root_logger
from basicsr.utils.registry import MODEL_REGISTRY
from torch import Tensor, nn
from torch.utils.data import DataLoader

from basicsr_snn.compat.going_on import advise
from basicsr_snn.data.batch import Batch
from basicsr_snn.data.draws import seed_step
from basicsr_snn.energy import DEFAULT_PRESET, EnergyReport, OperationCounter
from basicsr_snn.errors import UserError
from basicsr_snn.inference.calling import deployed, restore, to_channels_last
from basicsr_snn.inference.contract import Restorer, as_restorer
from basicsr_snn.inference.tiling import TILE_PAD
from basicsr_snn.models.divergence import Divergence, Step, gradient_norm
from basicsr_snn.models.pruning import build_pruning
from basicsr_snn.models.replayed_step import ReplayedStep, Taken, move_average, rates_as_numbers
from basicsr_snn.models.tandem import Tandem
from basicsr_snn.models.validation import Validation
from basicsr_snn.spiking.events import SpikeTaps
from basicsr_snn.spiking.neurons.coded_counts import CodedCounts
from basicsr_snn.zoo.building import window_of
from basicsr_snn.zoo.weights import load_entry_or_any

ENERGY_PICTURES = 2
"""Pictures of a validation whose operations are counted, unless ``val.energy`` says otherwise."""


@MODEL_REGISTRY.register()
class SNNModel(SRModel):
    """Trains, validates and tests any restorer, spiking or not; reports what it costs beside how well it does.

    On top of BasicSR's ``SRModel``: moving average with buffers and a warm-up, weight decay on weights only,
    ``train.grad_clip``, ``train.fft_opt``, ``train.rate_opt`` (a budget of accumulations), noise level for networks
    that take one, validation of the folded network that ships, ``val.tile`` and ``val.tile_pad`` for large pictures,
    firing rate, operations and energy in every validation (``val.energy`` pictures are counted, 0 for none). Where
    TensorBoard is on, what the neurons do on these pictures goes there, with a few of the pictures:
    :class:`basicsr_snn.activity.tensorboard.ValidationRecord`.

    ``train.every_step: true`` puts the image losses on the running mean of the picture after each time step, so that
    the network may stop after any (temporal decoupling, arXiv 2501.15925, carried over from classification: ours).
    ``train.tandem: {every, groups}`` begins with an ANN whose layers become spiking group by group:
    :class:`basicsr_snn.models.tandem.Tandem`. ``train.pruning`` lets weights become zero on the way:
    :class:`basicsr_snn.models.pruning.GradientRewiring`.

    ``train.micro_batches: K`` runs each batch in K equal parts whose gradients add up: a K-th of the memory, the same
    step but for rounding (and for ``norm: bn``, which then sees the parts). ``train.amp: true`` computes the network in
    bfloat16 where that is safe (torch.autocast); it pays on GPUs and on CPUs with AMX, and costs time on others.
    Neurons stay in float32. ``train.cuda_graph: true`` captures the whole step of one GPU and replays it
    (:class:`basicsr_snn.models.replayed_step.ReplayedStep`), so that a small network does not wait for its launches;
    where that cannot be, the log says why and the training runs as ever.

    .. code-block:: yaml

        model_type: SNNModel
        network_g: {type: SpikerIR, size: small}
        train:
          ema_decay: 0.999
          grad_clip: 1.0
          optim_g: {type: AdamW, lr: 1e-3, weight_decay: 1e-4}
          scheduler: {type: CosineAnnealingRestartLR, periods: [20000], restart_weights: [1], eta_min: 1e-6}
          warmup_iter: 200
          pixel_opt: {type: L1Loss}
          fft_opt: {type: FFTLoss, loss_weight: 0.1}
          rate_opt: {type: SpikeRateLoss, target: 20000}
        val:
          val_freq: 2000
          save_img: false
          tile: 512
          tile_pad: 72
          metrics: {psnr: {type: calculate_psnr, crop_border: 0}}
    """

    batch: Batch
    pictures: list[str]
    """Names of the pictures of the batch."""
    corners: Tensor | None = None
    """Row and column of each crop of the batch, where the data set tells them."""
    open_validation: Validation | None = None
    """The validation that goes on."""

    def model_to_device(self, net: nn.Module) -> nn.Module:
        if (self.opt.get('train') or {}).get('tandem'):  # a layer that does not spike yet leaves its threshold unused
            self.opt['find_unused_parameters'] = True
        return super().model_to_device(to_channels_last(net))

    @property
    def window(self) -> int:
        """What the sides of pictures are padded to a multiple of, for a network that does not pad them itself."""
        return window_of(self.opt['network_g'])

    @cached_property
    def restorer(self) -> Restorer:
        """The network that trains, on however many devices, under the contract of a restorer."""
        return as_restorer(self.net_g, self.window)

    @cached_property
    def divergence(self) -> Divergence:
        """Watches the steps and the answers of the network."""
        return Divergence(self.device, partial(advise, self.opt))

    def init_training_settings(self) -> None:
        train_opt = self.opt['train']
        self.cri_fft = build_loss(train_opt['fft_opt']).to(self.device) if train_opt.get('fft_opt') else None
        self.cri_rate = build_loss(train_opt['rate_opt']).to(self.device) if train_opt.get('rate_opt') else None
        self.restorer.require_pictures()
        self.refuse_coded_counts()
        self.tandem = Tandem(train_opt['tandem']) if train_opt.get('tandem') else None
        self.pruning = build_pruning(train_opt['pruning'], self.get_bare_model(self.net_g),
                                     train_opt['total_iter']) if train_opt.get('pruning') else None
        if train_opt.get('every_step'):
            self.restorer.answer_every_step()
        self.grad_clip = train_opt.get('grad_clip')
        self.amp = bool(train_opt.get('amp'))
        self.micro_batches = train_opt.get('micro_batches', 1)
        self.replayed: ReplayedStep | None = None  # begins with the first step, when what is resumed is in place
        self.replays = bool(train_opt.get('cuda_graph')) and self._can_replay()
        super().init_training_settings()

    def _can_replay(self) -> bool:
        reason = self.reason_against_replaying()
        if reason:
            get_root_logger().warning(f'train: cuda_graph has no effect: {reason}.')
        return not reason

    def reason_against_replaying(self) -> str:
        """Why the step can't be captured and replayed, in words; empty if it can."""
        if self.device.type != 'cuda':
            return 'there is no GPU'
        if self.opt.get('dist') or self.opt.get('num_gpu', 1) > 1:
            return 'several GPUs train'
        kind = self.opt['train']['optim_g'].get('type')
        if 'capturable' not in inspect.signature(getattr(torch.optim, str(kind), object)).parameters:
            return f'{kind} reads its state on the host; AdamW does not'
        if self.pruning:
            return 'pruning changes the network on the way'
        return 'tandem changes the network on the way' if self.tandem else ''

    def refuse_coded_counts(self) -> None:
        """Coded counts train whole, in a single step: no budget of their spikes, no picture of each step."""
        asked = [key for key in ('rate_opt', 'every_step') if self.opt['train'].get(key)]
        code = next((type(module).__name__ for module in self.get_bare_model(self.net_g).modules()
                     if isinstance(module, CodedCounts)), None)
        if asked and code:
            raise UserError(f'train: {asked[0]} was given to a network of {code}, which trains as whole counts of one '
                            'step; take it out, or train SignedILIF and rewrite its network_g with phase_form or '
                            'ttfs_form.')

    def load_network(self, net: nn.Module, load_path: str, strict: bool = True,
                     param_key: str | None = 'params') -> None:
        """Load weights as BasicSR does, with a sentence for what can be wrong; any entry if the file lacks the key."""
        load_entry_or_any(self.get_bare_model(net), load_path, param_key, strict)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameters to optimise: weights, and thresholds and biases, which no weight decay may pull to zero."""
        return groups_by_decay([self.net_g])

    def setup_optimizers(self) -> None:
        self.optimizer_g = self.add_optimizer(self.opt['train']['optim_g'], self.parameter_groups())

    def add_optimizer(self, options: Mapping[str, Any], groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Build an optimizer, which every step then uses, from its options and parameter groups."""
        arguments = dict(options)
        kind = arguments.pop('type')
        # One kernel for all parameters; that of SGD breaks on one that gets its first gradient late (train.tandem).
        if kind != 'SGD' and 'fused' in inspect.signature(getattr(torch.optim, kind, object)).parameters:
            arguments.setdefault('fused', True)
        self.optimizers.append(self.get_optimizer(kind, groups, **arguments))
        return self.optimizers[-1]

    @torch.no_grad()
    def model_ema(self, decay: float = 0.999) -> None:
        """Move ``net_g_ema`` towards ``net_g``; buffers such as batch statistics are copied, as BasicSR does not."""
        source = self.get_bare_model(self.net_g)
        torch._foreach_lerp_(list(self.net_g_ema.parameters()), list(source.parameters()), 1 - decay)
        for averaged, buffer in zip(self.net_g_ema.buffers(), source.buffers(), strict=True):
            averaged.copy_(buffer)
        if self.pruning:
            self.pruning.silence(self.net_g_ema)

    def feed_data(self, data: dict[str, Any]) -> None:
        self.batch = Batch.of_item(data, self.device)
        self.pictures, self.corners = list(data.get('lq_path', ())), data.get('corner')
        self.lq, self.sigma = self.batch.lq, self.batch.sigma  # BasicSR's validation reads these and deletes them
        if self.batch.gt is not None:
            self.gt = self.batch.gt

    def compute_losses(self, batch: Batch, current_iter: int) -> OrderedDict[str, Tensor]:
        """Run the student on a batch and return its weighted loss terms by log key."""
        batch.require_truth()
        return self.student_losses(batch)[1]

    def student_losses(self, batch: Batch) -> tuple[Tensor, OrderedDict[str, Tensor]]:
        """What the student makes of a batch, (N, C, H, W) or (T*N, C, H, W) one step after the other, and its own
        loss terms."""
        taps = SpikeTaps(self.get_bare_model(self.net_g)) if self.cri_rate else None
        with taps or nullcontext():
            restored = restore(self.restorer, batch.lq, batch.sigma)
        if restored.dim() == 5:
            restored = restored.flatten(0, 1)
        terms = self.image_losses(restored, batch)
        if self.cri_rate and taps:
            pixels = batch.lq.shape[0] * batch.lq.shape[2] * batch.lq.shape[3]
            terms['l_rate'] = self.cri_rate(taps.spikes, taps.fan_outs, pixels)
        return restored, terms

    def image_losses(self, restored: Tensor, batch: Batch) -> OrderedDict[str, Tensor]:
        """Losses of what was made of a batch, (N, C, H, W), or (T*N, C, H, W) one step after the other, by log key;
        pictures whose truth is not known have no part in them."""
        truth = batch.truth_for(restored)
        _refuse_other_size(restored, truth)
        terms: OrderedDict[str, Tensor] = OrderedDict()
        if self.cri_pix:
            terms['l_pix'] = self.cri_pix(restored, truth)
        if self.cri_perceptual:
            perceptual, style = self.cri_perceptual(restored, truth)
            named = {'l_percep': perceptual, 'l_style': style}
            terms.update({key: term for key, term in named.items() if term is not None})
        if self.cri_fft:
            terms['l_fft'] = self.cri_fft(restored, truth)
        return terms

    def optimize_parameters(self, current_iter: int) -> None:
        self.divergence.begin(current_iter)
        seed_step(self.opt.get('manual_seed') or 0, self.opt.get('rank', 0), current_iter)
        logged = current_iter % self.opt['logger']['print_freq'] == 0
        counter = OperationCounter(self.get_bare_model(self.net_g)) if logged else None
        if self.replays and counter is None:
            self._replay_step(current_iter)
            return
        if self.tandem:
            for net in (self.get_bare_model(self.net_g), *([self.net_g_ema] if self.ema_decay > 0 else [])):
                self.tandem.apply(net, current_iter)
        taken = self._take_gradients(self.batch, current_iter, counter or nullcontext())
        self.loss_terms = taken.terms
        self.training_cost = counter.report() if counter else None
        step = Step(self.pictures, self.sigma, self.loss_terms, self.corners)
        if not self.divergence.allows(current_iter, step, taken.norms):
            return
        with self.pruning.around_step(self.optimizer_g, current_iter) if self.pruning else nullcontext():
            for optimizer in self.optimizers:
                optimizer.step()
        if self.ema_decay > 0:
            self.model_ema(decay=ema_decay_at(current_iter, self.ema_decay))

    def _replay_step(self, current_iter: int) -> None:
        if self.replayed is None:
            self.replayed = ReplayedStep(self._take_step, self.optimizers, self.device)
        taken = self.replayed(self.batch, ema_decay_at(current_iter, self.ema_decay))
        self.loss_terms, self.training_cost = taken.terms, None
        self.divergence.allows(current_iter, Step(self.pictures, self.sigma, taken.terms, self.corners), taken.norms)

    def _take_step(self, batch: Batch, decay: Tensor) -> Taken:
        """One whole step in which the host reads nothing."""
        taken = self._take_gradients(batch, 0, nullcontext())
        for optimizer in self.optimizers:
            optimizer.step()
        if self.ema_decay > 0:
            move_average(self.net_g_ema, self.get_bare_model(self.net_g), decay)
        return taken

    def _take_gradients(self, batch: Batch, current_iter: int, counting: AbstractContextManager) -> Taken:
        """The gradients of a batch, clipped, in place of those before."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        terms = self.accumulate_gradients(batch, current_iter, counting)
        return Taken(terms, [gradient_norm((p for group in optimizer.param_groups for p in group['params']),
                                           self.grad_clip) for optimizer in self.optimizers])

    def _set_lr(self, lr_groups_l: list[list[float]]) -> None:
        for optimizer, rates in zip(self.optimizers, lr_groups_l, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                if isinstance(group['lr'], Tensor):
                    group['lr'].fill_(rate)
                else:
                    group['lr'] = rate

    def get_current_learning_rate(self) -> list[float]:
        return [float(group['lr']) for group in self.optimizers[0].param_groups]

    def save_training_state(self, epoch: int, current_iter: int) -> None:
        with rates_as_numbers(self.optimizers):
            super().save_training_state(epoch, current_iter)

    def accumulate_gradients(self, batch: Batch, current_iter: int,
                             counting: AbstractContextManager) -> OrderedDict[str, Tensor]:
        """Add up the gradients of the parts of a batch; returns the mean of their loss terms, detached."""
        mean: OrderedDict[str, Tensor] = OrderedDict()
        for part in batch.split(self.micro_batches):
            with counting, torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp):
                terms = self.compute_losses(part, current_iter)
            (sum(terms.values()) / self.micro_batches).backward()
            for key, term in terms.items():
                mean[key] = mean.get(key, 0.0) + term.detach() / self.micro_batches
        return mean

    def get_current_log(self) -> OrderedDict[str, float]:
        """Loss terms, firing rate and ACs a pixel of the current batch; called at ``logger.print_freq`` only."""
        self.divergence.refuse()
        log = self.reduce_loss_dict(self.loss_terms)
        if self.training_cost is not None:
            log['firing_rate'] = self.training_cost.firing_rate
            log['acs_per_px'] = self.training_cost.acs_per_px
        if self.pruning:
            log['sparsity'] = self.pruning.zeros
        return log

    def save(self, epoch: int, current_iter: int) -> None:
        self.divergence.refuse()
        super().save(epoch, current_iter)

    def test(self) -> None:
        self.output = (self.open_validation or self.begin_validation(counted=0, watched=False)).restore(self.batch)
        self.divergence.check_answer(self.output, self.pictures)

    def network_to_deploy(self) -> Restorer:
        """The network that ships: the moving average where there is one, folded."""
        net = self.net_g_ema if hasattr(self, 'net_g_ema') else self.get_bare_model(self.net_g)
        restorer = deployed(net, self.window)
        restorer.require_pictures()
        return restorer

    def nondist_validation(self, dataloader: DataLoader, current_iter: int | str, tb_logger: Any,
                           save_img: bool) -> None:
        self.divergence.refuse()
        counted = (self.opt.get('val') or {}).get('energy', ENERGY_PICTURES)
        self.open_validation = self.begin_validation(counted, watched=tb_logger is not None)
        try:
            super().nondist_validation(dataloader, current_iter, tb_logger, save_img)
            if counted:
                dataset: Any = dataloader.dataset
                dataset_name = dataset.opt['name']
                self.log_cost(self.open_validation.counter.report(), dataset_name, current_iter, tb_logger,
                              self.open_validation.scale)
                if self.open_validation.record:
                    self.open_validation.record.write(tb_logger, dataset_name, current_iter)
        finally:
            self.open_validation = None

    def begin_validation(self, counted: int, watched: bool) -> Validation:
        """A validation of the network that ships, with the tiles of ``val``."""
        val_opt = self.opt.get('val') or {}
        return Validation(self.network_to_deploy(), counted, watched, val_opt.get('tile') or 0,
                          val_opt.get('tile_pad', TILE_PAD))

    def log_cost(self, report: EnergyReport, dataset_name: str, current_iter: int | str, tb_logger: Any,
                 scale: int = 1) -> None:
        """Write parameters, firing rate, synaptic operations and energy into log and TensorBoard, for each pixel that
        the network reads; of one that enlarges by ``scale`` the energy for each that it writes, too."""
        self.energy_report = report
        energy = report.energy_nj_px()
        larger = f'; {energy / scale ** 2:.2f} nJ for each pixel of the enlarged picture' if scale > 1 else ''
        sparse = (f'\t # SynOps of weights that are not 0: {report.effective_acs_per_px:,.0f} ACs/px\n'
                  if report.effective_acs_per_px < report.acs_per_px else '')
        rate = f'\t # firing rate: {report.firing_rate:.4f} spikes a neuron and step\n' if report.neuron_updates else ''
        get_root_logger().info(
            f'Cost on {dataset_name} ({report.pictures} picture{"s" if report.pictures > 1 else ""} counted)\n'
            f'\t # params: {report.params:,d}\n{rate}'
            f'\t # SynOps: {report.acs_per_px:,.0f} ACs/px, {report.macs_per_px:,.0f} MACs/px\n{sparse}'
            f'\t # energy: {energy:.2f} nJ/px ({DEFAULT_PRESET}, arithmetic only){larger}\n')
        if tb_logger:
            for name in ('firing_rate', 'acs_per_px', 'macs_per_px'):
                tb_logger.add_scalar(f'cost/{dataset_name}/{name}', getattr(report, name), current_iter)
            tb_logger.add_scalar(f'cost/{dataset_name}/energy_nj_px', energy, current_iter)


def _refuse_other_size(restored: Tensor, truth: Tensor) -> None:
    if restored.shape[-2:] != truth.shape[-2:]:
        answered, wanted = ('x'.join(map(str, one.shape[:-3:-1])) for one in (restored, truth))
        raise UserError(f'the network answers with {answered} pixels where the clean crop has {wanted}; write the same '
                        'factor as scale: at the top of the option file and as scale, or upscale, of network_g.')


def ema_decay_at(iteration: int, decay: float) -> float:
    """Decay of the moving average at an iteration: rises to ``decay``, so that the initial weights are soon forgotten.

    min(decay, (1 + i) / (10 + i)), the rule of TensorFlow's ``ExponentialMovingAverage``.
    """
    return min(decay, (1 + iteration) / (10 + iteration))


def groups_by_decay(networks: list[nn.Module]) -> list[dict[str, Any]]:
    """Trainable parameters of networks in two optimiser groups: weights, and (without decay) what has one dimension."""
    trainable = [p for net in networks for p in net.parameters() if p.requires_grad]
    return [{'params': [p for p in trainable if p.dim() > 1]},
            {'params': [p for p in trainable if p.dim() <= 1], 'weight_decay': 0.0}]
