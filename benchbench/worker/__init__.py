"""Everything that runs in a worker process. Only this package, testing/ and plugins may import torch.

::

    main.py                  the worker process: reads jobs, writes messages
    ray_task.py              a worker inside Ray
    environment.py           variables that would change what torch computes, removed before it is imported
    torch_settings.py        torch's process-wide settings, restored before each trial
    seeds.py                 seeds all random generators, saves and restores them
    stopping.py              stops a trial on request, after a short epoch if finished ones would be lost
    memory.py                how much memory a piece of work takes
    out_of_memory.py         one error for all ways to run out of memory, and smaller evaluation batches
    device_report.py         what this machine can compute on, for bench doctor

    trial.py                 one trial from start to end
    setup.py                 everything that is done and checked before the first batch
    building.py              builds the model and what trains it
    model_smoke_test.py      tries a fresh model in both modes, before anything is trained
    failed_layer.py          in which layer of a network an error was raised
    train.py                 the training loop
    schedule.py              the learning rate: scheduler and warm-up
    weight_average.py        the moving average of a network's weights
    best_weights.py          the best network of a trial so far
    final_evaluation.py      what the network that a trial ends with achieves
    checkpoint.py            saves a trial's state, and restores it
    checkpoint_cadence.py    when the next checkpoint is due
    resume_notes.py          notes on what is not as it was when a resumed trial began

    splits.py                a dataset as tensors
    image_reading.py         reads images from the device or from their file while a trial runs
    batches.py               images in batches on the device
    augmentation.py          augmentations as one function, and their random numbers
    augmentation_preview.py  augments images for bench data show

    clock.py                 the phases of a trial, and their seconds
    finished_steps.py        counts steps when the device has finished them
    system_metrics.py        load of processor, memory and GPU during a trial
    subnormal_weights.py     notes epochs that are slow since the weights have vanished
    compilation.py           what torch.compile did in a trial
    timing.py                times variants in interleaved rounds

    artifacts.py             writes the files that the run of a finished trial keeps
    artifact_tables.py       tables of the predictions and of the layers, as CSV
    artifact_images.py       images that are kept for figures
    layer_table.py           the table of a network's layers
    model_export.py          the trained model as an MLflow model
    predictor.py             the exported model at work on images

    accelerate/              what makes a step fast
"""

from benchbench.worker.environment import remove_variables

remove_variables()  # before any module of this package imports torch, which reads them then
