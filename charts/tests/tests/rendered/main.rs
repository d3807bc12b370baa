//! What the chart renders, by every Helm that `HELM` names (`helm` alone if it is not set).

mod access;
mod balancer;
mod certificates;
mod combinations;
mod documents;
mod guards;
mod missed;
mod monitoring;
mod notes;
mod pods;
mod reviews;
