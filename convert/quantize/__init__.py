"""INT8 that is proven: calibration on video, Q/DQ placement, the accuracy gate, the search."""
