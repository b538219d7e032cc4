//! The lesson in panes: the learner's shell on a pseudo terminal of its own beside the lesson, or, with the shell in another
//! terminal, the lesson alone.
//!
//! One thread is the guide, which looks at the kernel's files and may wait for them; the other carries keys and draws.

mod board;
pub mod draw;
mod ink;
mod keys;
mod meter;
mod pane;
mod terminal;

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::tcgetpgrp;

use self::board::{Bar, Board, Zoom};
use self::draw::{Areas, areas};
use self::ink::Ink;
use self::keys::{Key, Keyboard, Typed};
use self::pane::Pane;
use self::terminal::Taken;
use super::tell::Teller;
use super::{phrases, shell};
use crate::lab::guide::{Answer, Guide, SOCKET, Told};
use crate::lab::interrupt::Interrupt;
use crate::lab::judge::Verdict;
use crate::lab::machine::Machine;
use crate::lab::run::RunError;

/// How long nothing may happen until figures and the terminal's size are looked at again.
const LOOK: Duration = Duration::from_millis(100);
/// The shortest time between two pictures: a shell that floods its screen is drawn now and then.
const FRAME: Duration = Duration::from_millis(15);

/// What the guide tells the panes.
struct Update<'l> {
    told: Vec<Told<'l>>,
    step: usize,
    seen: Vec<Verdict>,
    joined: bool,
}

/// Shows the lesson until the learner leaves, or the shell ends. With `machine` the shell is in a pane here, without it in
/// another terminal.
///
/// # Errors
/// If a signal comes, the terminal is gone, or a step's scene cannot be set.
pub fn attend<'l>(
    teller: &Teller<'l>,
    predicted: Option<&str>,
    guide: &mut Guide<'l>,
    machine: Option<&Machine>,
    interrupt: &Interrupt,
) -> Result<(), RunError> {
    let terminal = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let size = terminal::size(&terminal)?;
    let cgroup = guide.session().scene().scope().cgroup.clone();
    let socket = guide.session().scene().dir().join(SOCKET);
    let mut board = Board::new(teller.clone(), predicted.map(String::from));
    board.hear(vec![Told::Entered(guide.step())], guide.step(), Vec::new());
    let pane = match machine {
        None => None,
        Some(machine) => {
            let room = areas(size, Zoom::Both, true).shell.expect("a shell has its pane");
            let pane = Pane::start(&mut shell::on_terminal(guide, machine)?, (room.width, room.height))?;
            guide.session().set_learner(pane.pid());
            guide.begin()?;
            Some(pane)
        }
    };
    let ink = Ink::of_locale(|name| std::env::var(name).ok());
    let keyboard = Keyboard::new(pane.is_some());
    let mut panes = Panes { board, pane, keyboard, ink, cgroup, socket, interrupt, page: 1, leaves: false };
    let over = AtomicBool::new(false);
    let (sender, updates) = channel();
    thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(teller, guide, &over, sender));
        let outcome = panes.show(terminal, &updates);
        over.store(true, Ordering::SeqCst);
        let watched = watcher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        outcome.and(watched)
    })
}

/// The guide's thread: answers the shell, and tells what is new.
fn watch<'l>(
    teller: &Teller<'l>,
    guide: &mut Guide<'l>,
    over: &AtomicBool,
    sender: Sender<Update<'l>>,
) -> Result<(), RunError> {
    let mut prompted = None;
    while !over.load(Ordering::SeqCst) {
        if prompted != Some(guide.step()) {
            prompted = Some(guide.step());
            shell::write_prompt(guide)?;
        }
        let heard = std::cell::RefCell::new(Vec::new());
        let say = |told: &[Told<'l>]| {
            heard.borrow_mut().extend(told.iter().cloned());
            let here = told.iter().filter(|told| matches!(told, Told::Status(..) | Told::Solution(_) | Told::AtFirst));
            let text = here.map(|told| teller.told(told, None)).collect();
            Answer { text, ..Answer::default() }
        };
        let news = guide.turn(&say)?;
        let told = heard.into_inner().into_iter().chain(news).collect();
        let joined = !guide.session().needs_learner();
        // Nobody listens any more when the panes are closing.
        let _ = sender.send(Update { told, step: guide.step(), seen: guide.seen().to_vec(), joined });
    }
    Ok(())
}

/// What is shown, and what it is shown from.
struct Panes<'a, 'l> {
    board: Board<'l>,
    pane: Option<Pane>,
    keyboard: Keyboard,
    ink: Ink,
    cgroup: Option<PathBuf>,
    socket: PathBuf,
    interrupt: &'a Interrupt,
    /// How many lines of the lesson are seen at once.
    page: usize,
    leaves: bool,
}

impl<'l> Panes<'_, 'l> {
    fn show(&mut self, terminal: File, updates: &Receiver<Update<'l>>) -> Result<(), RunError> {
        let mut taken = Taken::take(terminal)?;
        let mut drawn = None::<Instant>;
        let mut changed = true;
        loop {
            if let Some(signal) = self.interrupt.came() {
                return Err(RunError::Interrupted(signal));
            }
            changed |= taken.fit()?;
            match self.listen(updates) {
                Some(heard) => changed |= heard,
                None => return Ok(()),
            }
            changed |= self.board.look(self.cgroup.as_deref(), Instant::now());
            let early = drawn.and_then(|drawn| FRAME.checked_sub(drawn.elapsed()));
            if changed && early.is_none() {
                self.draw(&mut taken)?;
                (drawn, changed) = (Some(Instant::now()), false);
            }
            changed |= self.wait(&mut taken, if changed { early.unwrap_or(LOOK) } else { LOOK })?;
            if self.leaves || self.ended()? {
                return Ok(());
            }
        }
    }

    /// Whether the shell has ended.
    fn ended(&mut self) -> io::Result<bool> {
        self.pane.as_mut().map_or(Ok(false), Pane::ended)
    }

    /// Takes in what the guide has told; whether it told anything. `None`: it has ended.
    fn listen(&mut self, updates: &Receiver<Update<'l>>) -> Option<bool> {
        let mut heard = false;
        loop {
            match updates.try_recv() {
                Ok(Update { told, step, seen, joined }) => {
                    self.board.joined = joined || self.pane.is_some();
                    self.board.hear(told, step, seen);
                    heard = true;
                }
                Err(TryRecvError::Empty) => return Some(heard),
                Err(TryRecvError::Disconnected) => return None,
            }
        }
    }

    fn areas(&self, size: (u16, u16)) -> Areas {
        areas(size, self.board.zoom, self.pane.is_some())
    }

    fn draw(&mut self, taken: &mut Taken) -> io::Result<()> {
        let areas = self.areas(taken.fits());
        if let (Some(pane), Some(area)) = (&mut self.pane, areas.shell) {
            pane.resize((area.width, area.height))?;
        }
        let Panes { board, pane, ink, page, .. } = self;
        let screen = pane.as_ref().map(Pane::screen);
        taken.canvas.draw(|frame| *page = draw::draw(frame, board, screen, &areas, ink))?;
        Ok(())
    }

    /// Waits for a key, or for the shell to draw; whether something is to be drawn.
    fn wait(&mut self, taken: &mut Taken, time: Duration) -> io::Result<bool> {
        let stdin = io::stdin();
        let time = Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
        let (typed, wrote) = {
            let mut fds = vec![PollFd::new(&stdin, PollFlags::IN)];
            if let Some(pane) = &self.pane {
                fds.push(PollFd::from_borrowed_fd(pane.fd(), PollFlags::IN));
            }
            match poll(&mut fds, Some(&time)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
            (ready(&fds[0]), fds.get(1).is_some_and(ready))
        };
        let mut changed = false;
        if typed {
            let mut buffer = [0; 4096];
            match rustix::io::read(&stdin, &mut buffer) {
                // The terminal is gone.
                Ok(0) => self.leaves = true,
                Ok(read) => self.typed(&buffer[..read])?,
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
            changed = true;
        }
        if let Some(pane) = self.pane.as_mut().filter(|_| wrote || typed) {
            let (drew, bell) = pane.read()?;
            taken.follow(pane.screen(), bell)?;
            changed |= drew;
        }
        Ok(changed)
    }

    fn typed(&mut self, bytes: &[u8]) -> io::Result<()> {
        for typed in self.keyboard.typed(bytes) {
            match (typed, &mut self.pane) {
                (Typed::Shell(bytes), Some(pane)) => {
                    self.board.bar = Bar::Keys;
                    pane.write(&bytes)?;
                }
                (Typed::Shell(_), None) => {}
                (Typed::Key(key), _) => self.key(key)?,
            }
        }
        Ok(())
    }

    fn key(&mut self, key: Key) -> io::Result<()> {
        // The answer to a question is no key for the lesson: `n` is no, and skips no step.
        if std::mem::replace(&mut self.board.bar, Bar::Keys) == Bar::Leave {
            self.leaves = key == Key::Letter(b'y');
            return Ok(());
        }
        match key {
            Key::Prefix => self.board.bar = Bar::Now,
            Key::Up | Key::Down | Key::PageUp | Key::PageDown => self.board.scroll(key, self.page),
            Key::Letter(b'h') => self.say("hint")?,
            Key::Letter(b'n') => self.say("skip")?,
            Key::Letter(b'b') => self.say("back")?,
            Key::Letter(b's') => self.solve()?,
            Key::Letter(b'z') if self.pane.is_some() => {
                self.board.zoom = match self.board.zoom {
                    Zoom::Both => Zoom::Shell,
                    Zoom::Shell => Zoom::Lesson,
                    Zoom::Lesson => Zoom::Both,
                };
            }
            Key::Letter(b'q') => {
                self.board.bar = Bar::Leave;
                self.keyboard.expect();
            }
            Key::Letter(_) | Key::Nothing => {}
        }
        Ok(())
    }

    /// Says a word to the guide, as the shell would.
    fn say(&self, word: &str) -> io::Result<()> {
        UnixStream::connect(&self.socket)?.write_all(format!("{word}\n").as_bytes())
    }

    /// Types `solve` into the shell if it waits at its prompt: the solution runs before the learner's eyes.
    fn solve(&mut self) -> io::Result<()> {
        let lang = self.board.teller.lang;
        let Some(pane) = &mut self.pane else {
            self.board.bar = Bar::Says(phrases::type_solve(lang));
            return Ok(());
        };
        let foreground = tcgetpgrp(pane.fd()).map(|group| group.as_raw_nonzero().get());
        if foreground != Ok(pane.pid()) {
            self.board.bar = Bar::Says(phrases::shell_is_busy(lang));
            return Ok(());
        }
        // Ctrl-E Ctrl-U: what was begun on the line is put aside (Ctrl-Y brings it back).
        pane.write(b"\x05\x15solve\r")
    }
}
