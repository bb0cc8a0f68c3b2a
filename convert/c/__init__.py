"""C sources for microcontrollers: tables of the front end, the model, TFLite Micro."""
