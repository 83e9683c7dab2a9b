# Mask R-CNN with FPN on COCO by the protocol of the papers: 12 epochs with 5 of warm-up, AdamW, 4 images per GPU at 1280 x 800.
#
#     uninas train coatnet --task detect --data data/coco                       the same, with a progress bar and curves
#     mim train mmdet configs/mmdet/mask_rcnn_uninas_coco.py --gpus 8 --launcher pytorch
#
# Learning rates are those of one GPU and scale with the total batch (auto_scale_lr). The base files are those that MMDetection
# installs; `__import__`, because mmengine reads _base_ before any import.
_base_ = [
    f"{__import__('mmdet').__path__[0]}/.mim/configs/_base_/{name}.py"
    for name in ("models/mask-rcnn_r50_fpn", "datasets/coco_instance", "default_runtime")
]

from downstream.models.pyramid import pyramid

custom_imports = dict(imports=["downstream.models.mm_backbone", "downstream.models.mm_roi"], allow_failed_imports=False)

arch = "coatnet"  # preset, architecture file, or run folder of a search
weights = None  # file of a classifier trained on ImageNet
size = (1280, 800)  # pixels, (width, height)
indices, widths, strides = pyramid(arch)  # stages 0 to 3 of strides 4, 8, 16 and 32 in the template; others as they are

model = dict(
    backbone=dict(_delete_=True, type="UniNAS", arch=arch, weights=weights, drop_path_rate=0.1, out_indices=indices),
    neck=dict(in_channels=widths, num_outs=len(widths) + 1),
    rpn_head=dict(anchor_generator=dict(strides=[*strides, 2 * strides[-1]])),
    roi_head=dict(  # a region of at most 28 strides a side is read from the finest map, as in FPN's paper, where that is 112
        bbox_roi_extractor=dict(type="Float32RoIExtractor", featmap_strides=strides, finest_scale=14 * strides[0]),
        mask_roi_extractor=dict(type="Float32RoIExtractor", featmap_strides=strides, finest_scale=14 * strides[0]),
    ),
)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="Resize", scale=size, keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=size, keep_ratio=True),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="PackDetInputs", meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")),
]
train_dataloader = dict(batch_size=4, num_workers=4, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=2.5e-5, weight_decay=0.05),
    clip_grad=dict(max_norm=1.0),
    paramwise_cfg=dict(flat_decay_mult=0.0, custom_keys={".table": dict(decay_mult=0.0)}),  # no norms, biases, tables
)
auto_scale_lr = dict(enable=True, base_batch_size=4)
epochs = 12
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-7 / 2.5e-5, by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
    dict(type="MultiStepLR", gamma=0.1, by_epoch=True, milestones=[8], begin=0, end=epochs),  # once, down to 2.5e-6
]
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=epochs, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
default_hooks = dict(checkpoint=dict(type="CheckpointHook", interval=1, max_keep_ckpts=2, save_best="coco/segm_mAP"))
custom_hooks = [dict(type="SyncBuffersHook")]  # batch norms of several GPUs: one network is evaluated and kept
find_unused_parameters = True  # a searched network may have parameters on which no output depends
