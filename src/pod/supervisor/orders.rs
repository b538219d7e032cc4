//! What others tell the supervisor to do: end the pod, take new files for its volumes, take other requests and limits.

use std::io::{BufRead, BufReader, Write};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as api;

use super::super::cgroup;
use super::super::error::PodError;
use super::super::managed::Around;
use super::super::object;
use super::super::order::Order;
use super::super::record::{Group, Record};
use super::super::volumes;
use super::{Ending, Supervisor};

impl Supervisor<'_> {
    /// Takes an order, does it, and answers.
    pub(super) fn obey(&mut self) -> Result<(), PodError> {
        let Ok((stream, _)) = self.control.accept() else { return Ok(()) };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
        let mut line = String::new();
        let order =
            BufReader::new(&stream).read_line(&mut line).ok().and_then(|_| serde_json::from_str::<Order>(&line).ok());
        let answer = match order {
            Some(Order::Delete { grace, reason }) => {
                let deleted = reason.is_none();
                // An order with less grace overtakes one with more.
                let shorter = self.ending.as_ref().is_none_or(|ending| grace < ending.grace || deleted);
                if shorter {
                    let at = Timestamp::now();
                    self.ending = Some(Ending { at, grace, reason, deleted });
                }
                "ok".to_string()
            }
            Some(Order::Refresh) => match self.refresh() {
                Ok(()) => "ok".to_string(),
                Err(error) => error.to_string(),
            },
            Some(Order::Resize { pod, groups }) => match self.resize(*pod, groups) {
                Ok(()) => "ok".to_string(),
                Err(error) => error.to_string(),
            },
            None => "what was asked is not understood".to_string(),
        };
        // Whoever gets the answer may look at the status next.
        self.tell()?;
        let _ = (&stream).write_all(format!("{answer}\n").as_bytes());
        Ok(())
    }

    fn refresh(&mut self) -> Result<(), PodError> {
        if let Some(record) = self.home.record()? {
            self.record = record;
        }
        for volume in object::spec(&self.record.pod).volumes.iter().flatten() {
            volumes::refresh(self.home, volume, &self.facts())?;
        }
        Ok(())
    }

    /// Takes other requests and limits: the cgroups first, then what is kept of the pod.
    fn resize(&mut self, pod: api::Pod, groups: Vec<Group>) -> Result<(), PodError> {
        let runs =
            self.containers.iter().filter_map(|one| Some((one.view.name.clone(), one.run.as_ref()?.cgroup.clone())));
        let changes = cgroup::changes(&self.record.groups, &groups);
        let mut record = Record { pod, groups, ..self.record.clone() };
        cgroup::apply(&self.record, &changes, &runs.collect())?;
        std::mem::swap(&mut self.record, &mut record);
        self.resources = object::resources(&self.record.pod)?;
        self.home.write("record.json", &self.record)?;
        cgroup::recount(self.home, &self.record)?;
        let spec = object::spec(&self.record.pod);
        let around = Around::new(&self.record, self.sandbox.as_ref().and_then(|sandbox| sandbox.address), &self.hear);
        let all = spec.init_containers.into_iter().flatten().chain(spec.containers);
        for (index, (one, new)) in self.containers.iter_mut().zip(all).enumerate() {
            one.resize(index, new.resources, Timestamp::now(), &around);
        }
        // downwardAPI files may tell of them.
        self.refresh()
    }
}
