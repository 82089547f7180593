//! The end-to-end tests: real MySQL, real Kafka, the real program as a child process. One binary, so that the servers are shared.

mod case;
mod cli;
mod contracts;
mod crash;
mod examples;
mod first_light;
mod harness;
mod outage;
mod refusals;
mod statements;
