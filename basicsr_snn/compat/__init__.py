"""Repairs of BasicSR 1.4.2 for today's torch and torchvision and for machines without CUDA.

BasicSR is patched by name and never copied. Each repair is one function whose docstring says why it is there:
:data:`BEFORE_IMPORT` makes ``import basicsr`` possible, and each of :data:`REPAIRS` stands in for a named attribute,
which it gets as ``upstream`` (:func:`~basicsr_snn.compat.replacing.replaces`). ``import basicsr_snn`` applies all,
before or after ``import basicsr``.
"""
from basicsr_snn.compat import (
    archiving,
    checkpoints,
    datasets,
    distributed,
    imports,
    lmdb,
    optimizers,
    options,
    pairs,
    pictures,
    prefetching,
    registering,
    resuming,
    scoring,
    tensorboard,
    vgg,
    wandb,
)

BEFORE_IMPORT = (imports.define_missing_torchvision_ops, imports.alias_functional_tensor)
REPAIRS = (
    registering.name_both_of_a_clash,
    options.read_plain_yaml,
    options.read_forced_numbers,
    options.refuse_unknown_forced_blocks,
    archiving.archive_under_a_free_name,
    archiving.make_own_folders_only,
    archiving.copy_options_from_anywhere,
    checkpoints.save_network_atomically,
    checkpoints.save_state_atomically,
    checkpoints.load_network_that_fits,
    checkpoints.keep_best_metrics,
    resuming.resume_without_cuda,
    resuming.resume_as_the_file_says,
    scoring.refuse_pictures_of_nan,
    scoring.score_in_numbers,
    scoring.tell_no_best_of_a_test,
    optimizers.accept_more_optimizers,
    distributed.distribute_without_cuda,
    distributed.distribute_by_slurm_only,
    distributed.distribute_cpu_networks,
    prefetching.catch_prefetch_errors,
    prefetching.raise_prefetch_errors,
    prefetching.prefetch_without_cuda,
    lmdb.share_lmdb_environments,
    pairs.name_the_lonely,
    pairs.name_pairs_of_other_sizes,
    pictures.remember_name,
    pictures.decode_named_file,
    tensorboard.say_why_tensorboard_cannot_start,
    wandb.begin_a_run_of_wandb,
    vgg.read_vgg_from_a_file,
    datasets.say_what_is_wrong_with_a_dataset,
)
_applied = False


def apply() -> None:
    """Apply every repair once; later calls do nothing."""
    global _applied
    if _applied:
        return
    for repair in BEFORE_IMPORT:
        repair()
    for repair in REPAIRS:  # the first of them imports basicsr
        repair.install()
    _applied = True
