//! The sheet as PDF: A4, black on white, in letters that are read at arm's length.
//!
//! Nothing is set outside the margins, however long a name is: words are wrapped, commands shrink and then are wrapped, and what
//! does not fit a page begins the next. Nothing is compressed, so that nothing about the file needs to be believed.

use pdf_writer::{Content, Finish, Name, Rect, Ref, Str};

use super::super::letters::spoken;
use super::metrics::{encoded, fixed_width, width};
use super::text::wrapped;
use super::{Block, Head, LINES, TITLE};
use crate::vault::Secret;

/// A sheet that was set.
pub(crate) struct Pdf {
    /// The file.
    pub(crate) bytes: Secret<Vec<u8>>,
    /// Whether the paper shows every letter: other scripts than Latin it does not.
    pub(crate) whole: bool,
}

/// Sets a sheet.
pub(super) fn set(head: &Head, blocks: &[Block]) -> Pdf {
    let mut press = Press { head, pages: Vec::new(), content: Content::new(), y: 0.0, whole: true };
    press.begin_page();
    for block in blocks {
        match block {
            Block::Heading(words) => press.heading(words),
            Block::Words(words) => press.words(words, Font::Plain),
            Block::Strong(words) => press.words(words, Font::Bold),
            Block::Command(command) => press.command(command),
            Block::Code(groups) => press.code(groups.expose()),
            Block::Lines => press.lines(),
        }
    }
    press.finish()
}

/// Sets from the top of a page to its foot, page after page.
struct Press<'a> {
    head: &'a Head,
    pages: Vec<Content>,
    content: Content,
    /// Where the last line stands, from the foot.
    y: f32,
    whole: bool,
}

#[derive(Clone, Copy)]
enum Font {
    Plain,
    Bold,
    Fixed,
}

/// Where a text begins, and how large it is.
#[derive(Clone, Copy)]
struct Spot {
    x: f32,
    y: f32,
    size: f32,
}

impl Press<'_> {
    fn begin_page(&mut self) {
        let foot = HEIGHT - MARGIN - BANNER;
        self.content.set_fill_gray(0.0).rect(MARGIN, foot, INSIDE, BANNER).fill_nonzero().set_fill_gray(1.0);
        let title = Spot { x: MARGIN + 12.0, y: foot + 12.0, size: 26.0 };
        self.show(Font::Bold, title, TITLE);
        let head = self.head;
        let size = 20.0;
        let x = WIDTH - MARGIN - 12.0 - width(&head.envelope, size);
        self.show(Font::Bold, Spot { x, y: foot + 14.0, size }, &head.envelope);
        self.content.set_fill_gray(0.0);
        self.y = foot - 4.0;
        self.words(&head.facts, Font::Plain);
    }

    /// Makes room, on the next page if this one has none.
    fn room(&mut self, height: f32) {
        if self.y - height < MARGIN + FOOT {
            let page = std::mem::replace(&mut self.content, Content::new());
            self.pages.push(page);
            self.begin_page();
        }
    }

    fn heading(&mut self, words: &str) {
        // With a line or two of what it heads.
        self.room(3.0 * LEADING + 10.0);
        self.y -= 8.0;
        self.paragraph(words, Font::Bold, 13.5);
    }

    fn words(&mut self, words: &str, font: Font) {
        self.paragraph(words, font, SIZE);
    }

    fn paragraph(&mut self, words: &str, font: Font, size: f32) {
        for line in wrapped(words, |line| width(line, size) <= INSIDE) {
            self.room(LEADING);
            self.y -= LEADING;
            self.show(font, Spot { x: MARGIN, y: self.y, size }, &line);
        }
    }

    fn command(&mut self, command: &str) {
        let inside = INSIDE - 12.0;
        let natural = fixed_width(command, COMMAND);
        let size = (COMMAND * inside / natural.max(inside)).max(SMALLEST);
        for line in wrapped(command, |line| fixed_width(line, size) <= inside) {
            self.room(LEADING + 2.0);
            self.y -= LEADING + 2.0;
            self.show(Font::Fixed, Spot { x: MARGIN + 12.0, y: self.y, size }, &line);
        }
    }

    /// Five columns: a group, and how its letters are said.
    fn code(&mut self, groups: &[String; 5]) {
        const LETTER: f32 = 28.0;
        const WORD: f32 = 11.0;
        const WORDS: f32 = 13.5;
        const TALL: f32 = 132.0;
        self.room(TALL + 12.0);
        let top = self.y - 8.0;
        let column = INSIDE / 5.0;
        self.content.set_line_width(1.2);
        let mut left = MARGIN;
        for (number, group) in ["1", "2", "3", "4", "5"].into_iter().zip(groups) {
            self.content.rect(left + 1.5, top - TALL, column - 3.0, TALL).stroke();
            self.show(Font::Plain, Spot { x: left + 6.0, y: top - 12.0, size: 9.0 }, number);
            let x = left + (column - fixed_width(group, LETTER)) / 2.0;
            self.show(Font::Fixed, Spot { x, y: top - 42.0, size: LETTER }, group);
            let mut y = top - 62.0;
            for letter in group.chars() {
                let mut sign = [0; 4];
                self.show(Font::Fixed, Spot { x: left + 12.0, y, size: WORD }, letter.encode_utf8(&mut sign));
                self.show(Font::Plain, Spot { x: left + 28.0, y, size: WORD }, spoken(letter));
                y -= WORDS;
            }
            left += column;
        }
        self.y = top - TALL - 4.0;
    }

    fn lines(&mut self) {
        for _ in 0..LINES {
            self.room(24.0);
            self.y -= 24.0;
            self.content.set_line_width(0.6).move_to(MARGIN, self.y).line_to(MARGIN + INSIDE, self.y).stroke();
        }
    }

    fn show(&mut self, font: Font, at: Spot, text: &str) {
        let (bytes, whole) = encoded(text);
        self.whole &= whole;
        self.content.begin_text().set_font(font.name(), at.size).next_line(at.x, at.y).show(Str(&bytes)).end_text();
    }

    fn finish(mut self) -> Pdf {
        let last = std::mem::replace(&mut self.content, Content::new());
        self.pages.push(last);
        let pages = std::mem::take(&mut self.pages);
        let count = pages.len();
        for (at, page) in pages.into_iter().enumerate() {
            self.content = page;
            let told = format!("{TITLE}, {}: page {} of {count}", self.head.envelope, at + 1);
            self.show(Font::Plain, Spot { x: MARGIN, y: MARGIN, size: 8.0 }, &told);
            self.pages.push(std::mem::replace(&mut self.content, Content::new()));
        }
        Pdf { whole: self.whole, bytes: Secret::new(file(self.pages)) }
    }
}

/// Pages and fonts, as a file.
fn file(pages: Vec<Content>) -> Vec<u8> {
    let mut pdf = pdf_writer::Pdf::new();
    let mut references = (1..).map(Ref::new);
    let mut next = || references.next().unwrap_or(Ref::new(i32::MAX));
    let (catalog, tree) = (next(), next());
    let fonts = Font::ALL.map(|font| (font, next()));
    pdf.catalog(catalog).pages(tree);
    for (font, reference) in fonts {
        let mut written = pdf.type1_font(reference);
        written.base_font(font.base()).encoding_predefined(Name(b"WinAnsiEncoding"));
    }
    let mut kids = Vec::new();
    for content in pages {
        let (kid, stream) = (next(), next());
        let mut page = pdf.page(kid);
        page.parent(tree).media_box(Rect::new(0.0, 0.0, WIDTH, HEIGHT)).contents(stream);
        let mut resources = page.resources();
        let mut named = resources.fonts();
        for (font, reference) in fonts {
            named.pair(font.name(), reference);
        }
        named.finish();
        resources.finish();
        page.finish();
        pdf.stream(stream, &content.finish());
        kids.push(kid);
    }
    let count = i32::try_from(kids.len()).unwrap_or(i32::MAX);
    pdf.pages(tree).kids(kids).count(count);
    pdf.finish()
}

impl Font {
    const ALL: [Self; 3] = [Self::Plain, Self::Bold, Self::Fixed];

    /// What pages call it.
    fn name(self) -> Name<'static> {
        match self {
            Self::Plain => Name(b"F1"),
            Self::Bold => Name(b"F2"),
            Self::Fixed => Name(b"F3"),
        }
    }

    /// What every reader has.
    fn base(self) -> Name<'static> {
        match self {
            Self::Plain => Name(b"Helvetica"),
            Self::Bold => Name(b"Helvetica-Bold"),
            Self::Fixed => Name(b"Courier-Bold"),
        }
    }
}

/// A4, in points.
const WIDTH: f32 = 595.0;
const HEIGHT: f32 = 842.0;
const MARGIN: f32 = 42.0;
const INSIDE: f32 = WIDTH - 2.0 * MARGIN;
const BANNER: f32 = 44.0;
/// Kept free for the number of the page.
const FOOT: f32 = 14.0;
const SIZE: f32 = 12.5;
const LEADING: f32 = 16.0;
const COMMAND: f32 = 13.0;
/// Below this nobody reads it at arm's length: it is wrapped instead.
const SMALLEST: f32 = 9.0;
