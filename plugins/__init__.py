"""The shipped plugins, one file each. They register by entry points, like any third-party package.

::

    tinyimage10.py          dataset: ten classes of Tiny ImageNet, as in the paper
    tinyimage200.py         dataset: all of Tiny ImageNet
    cifar.py                datasets: CIFAR-10 and CIFAR-100
    mnist.py                datasets: MNIST and Fashion-MNIST
    svhn.py                 dataset: SVHN
    medmnist_sets.py        dataset: those of MedMNIST
    digits.py               dataset: digits that need no download
    synthetic.py            dataset: images made by a formula
    imagefolder.py          dataset: your own images, one folder per class
    imagelist.py            dataset: your own images, in a CSV file
    no_augmentation.py      augmentation: none
    flip.py                 augmentation: left-right flips
    crop_flip.py            augmentation: shifted crops and flips
    random_resized_crop.py  augmentation: random parts, enlarged
    random_erasing.py       augmentation: random boxes, erased
    color_jitter.py         augmentation: colors
    trivial_augment.py      augmentation: TrivialAugment
    rand_augment.py         augmentation: RandAugment
    mixing.py               augmentations: mixup and CutMix
    alexnet.py              model: AlexNet, from scratch
    resnet.py               model: timm's ResNet
    cifar_resnet.py         model: the small ResNets for CIFAR
    timm_models.py          model: any of timm
    torchvision_models.py   model: any of torchvision
    cross_entropy.py        loss: cross-entropy of softmax
    bce.py                  loss: binary cross-entropy
    sgd.py                  optimizer: SGD
    adam.py                 optimizer: Adam
    adamw.py                optimizer: AdamW
    rmsprop.py              optimizer: RMSprop
    lion.py                 optimizer: Lion
    muon.py                 optimizer: Muon
    timm_optimizers.py      optimizer: any of timm
    constant.py             scheduler: a rate that never changes
    step.py                 scheduler: a rate that falls in steps
    multistep.py            scheduler: a rate that falls after chosen epochs
    exponential.py          scheduler: a rate that falls by a factor
    linear.py               scheduler: a rate that falls along a line
    cosine.py               scheduler: a rate that falls along half a cosine
    onecycle.py             scheduler: one cycle
    plateau.py              scheduler: a rate that falls when the validation loss no longer does
    tensorboard.py          hooks: trials in TensorBoard
    image_operations.py     shared by augmentations: operations on batches of images
    random_boxes.py         shared by augmentations: boxes of random area and shape
    policies.py             shared by augmentations: the operations of trivial_augment and rand_augment
    pretrained.py           shared by models: weights from a file, and what is trained
    weight_files.py         shared by models: reads weights into a network of other classes or channels
    heads.py                shared by models: the last layer, and everything else frozen
    parameter_groups.py     shared by optimizers: parameters in groups
"""
