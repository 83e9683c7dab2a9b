# UperNet on ADE20K by the protocol of the papers: 125 epochs with 5 of warm-up, AdamW, 4 images per GPU at 512 x 512.
#
#     uninas train coatnet --task segment --data data/ade/ADEChallengeData2016   the same, with a progress bar and curves
#     mim train mmsegmentation configs/mmseg/upernet_uninas_ade20k.py --gpus 8 --launcher pytorch
#
# Learning rates are those of one GPU and scale with the total batch (auto_scale_lr). The base files are those that MMSegmentation
# installs; `__import__`, because mmengine reads _base_ before any import.
_base_ = [
    f"{__import__('mmseg').__path__[0]}/.mim/configs/_base_/{name}.py"
    for name in ("models/upernet_r50", "datasets/ade20k", "default_runtime")
]

from downstream.models.pyramid import pyramid

custom_imports = dict(imports=["downstream.models.mm_backbone"], allow_failed_imports=False)

arch = "coatnet"  # preset, architecture file, or run folder of a search
weights = None  # file of a classifier trained on ImageNet
size = (512, 512)  # pixels, (height, width)
indices, widths, strides = pyramid(arch)  # stages 0 to 3 of strides 4, 8, 16 and 32 in the template; others as they are
auxiliary = max(0, len(widths) - 2)  # the map that the auxiliary head reads

model = dict(
    data_preprocessor=dict(size=size),
    pretrained=None,
    backbone=dict(_delete_=True, type="UniNAS", arch=arch, weights=weights, drop_path_rate=0.3, out_indices=indices),
    decode_head=dict(in_channels=widths, in_index=list(range(len(widths))), num_classes=150),
    auxiliary_head=dict(in_channels=widths[auxiliary], in_index=auxiliary, num_classes=150),
)

# Crops of 512 x 512 of images scaled by 0.5 to 2, as is usual on ADE20K.
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", reduce_zero_label=True),
    dict(type="RandomResize", scale=(4 * size[1], size[0]), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type="RandomCrop", crop_size=size, cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PhotoMetricDistortion"),
    dict(type="PackSegInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(4 * size[1], size[0]), keep_ratio=True),
    dict(type="LoadAnnotations", reduce_zero_label=True),
    dict(type="PackSegInputs"),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    sampler=dict(_delete_=True, type="DefaultSampler", shuffle=True),
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1.5e-5, weight_decay=0.05),
    clip_grad=dict(max_norm=1.0),
    paramwise_cfg=dict(flat_decay_mult=0.0, custom_keys={".table": dict(decay_mult=0.0)}),  # no norms, biases, tables
)
auto_scale_lr = dict(enable=True, base_batch_size=4)
epochs = 125
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-7 / 1.5e-5, by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
    dict(type="PolyLR", power=1.0, eta_min=0.0, by_epoch=True, begin=5, end=epochs, convert_to_iter_based=True),
]
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=epochs, val_interval=5)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=50),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(type="CheckpointHook", interval=5, max_keep_ckpts=2, save_best="mIoU"),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    visualization=dict(type="SegVisualizationHook"),
)
log_processor = dict(by_epoch=True)
custom_hooks = [dict(type="SyncBuffersHook")]  # batch norms of several GPUs: one network is evaluated and kept
find_unused_parameters = True  # a searched network may have parameters on which no output depends
