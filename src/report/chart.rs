//! Curves as SVG plots that stand inside the HTML page.
//!
//! Colours are written as attributes, so that a plot stands on its own; `page.css` replaces them
//! by attribute selectors in dark mode, and adds dashes.

use std::io;

use plotters::coord::Shift;
use plotters::prelude::{
    ChartBuilder, Circle, Color as _, DrawingArea, EmptyElement, IntoDrawingArea as _,
    IntoFont as _, LineSeries, RGBColor, SVGBackend, TRANSPARENT,
};

use super::curves::{Group, Point, bounds, points};
use super::text::number;

/// Size of the drawing; the page shows it at half the size, for finer lines.
const SIZE: (u32, u32) = (1120, 600);

/// Points that a line is thinned to.
const POINTS: usize = 500;

/// Lines with at most this many points get a dot at each.
const DOTTED: usize = 25;

const INK: RGBColor = RGBColor(0x52, 0x52, 0x5b);
const GRID: RGBColor = RGBColor(0xe4, 0xe4, 0xe7);

/// Colours of the lines, told apart by people who see colours differently.
pub const PALETTE: [RGBColor; 6] = [
    RGBColor(0x1d, 0x4e, 0xd8),
    RGBColor(0xc2, 0x41, 0x0c),
    RGBColor(0x04, 0x78, 0x57),
    RGBColor(0x7e, 0x22, 0xce),
    RGBColor(0xbe, 0x18, 0x5d),
    RGBColor(0x57, 0x53, 0x4e),
];

/// Draws a group of at most [`PALETTE`]'s length; `title` and `description` are its text for
/// those who do not see it. `None` when no line has a finite value.
///
/// # Errors
/// What the drawing library says.
pub fn plot(
    group: &Group<'_>,
    title: &str,
    description: &str,
) -> Result<Option<String>, Box<dyn std::error::Error>> {
    let lines: Vec<Vec<Point>> = group
        .lines
        .iter()
        .map(|(_, series)| points(series, POINTS))
        .collect();
    let Some([low, high]) = bounds(lines.iter().flatten()) else {
        return Ok(None);
    };
    let mut drawing = String::new();
    {
        let area = SVGBackend::with_string(&mut drawing, SIZE).into_drawing_area();
        draw(
            &area,
            &lines,
            widen(low.0, high.0, 0.0),
            widen(low.1, high.1, 0.04),
        )?;
        area.present()?;
    }
    // NOTE: plotters escapes text itself, but knows no title and a fixed size only.
    let (_, drawing) = drawing.split_once("viewBox").unwrap_or_default();
    let (title, description) = (escape(title), escape(description));
    Ok(Some(format!(
        "<svg class=\"plot\" role=\"img\" viewBox{}",
        drawing.replacen(
            '>',
            &format!(">\n<title>{title}</title>\n<desc>{description}</desc>"),
            1
        )
    )))
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn draw(
    area: &Area<'_>,
    lines: &[Vec<Point>],
    steps: (f64, f64),
    values: (f64, f64),
) -> Result<(), plotters::prelude::DrawingAreaErrorKind<io::Error>> {
    let mut chart = ChartBuilder::on(area)
        .margin_top(16)
        .margin_right(48)
        .x_label_area_size(86)
        .y_label_area_size(140)
        .build_cartesian_2d(steps.0..steps.1, values.0..values.1)?;
    let label = ("sans-serif", 38).into_font().color(&INK);
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID.stroke_width(2))
        .axis_style(INK.stroke_width(2))
        .label_style(label)
        .x_labels(6)
        .y_labels(6)
        .x_label_formatter(&|step| tick(*step, steps))
        .y_label_formatter(&|value| tick(*value, values))
        .x_desc("step")
        .draw()?;
    for (line, color) in lines.iter().zip(PALETTE) {
        let dots = line.len() <= DOTTED;
        for stretch in line.split(Option::is_none) {
            let stretch: Vec<(f64, f64)> = stretch.iter().flatten().copied().collect();
            if dots || stretch.len() == 1 {
                chart.draw_series(stretch.iter().map(|&point| {
                    EmptyElement::at(point) + Circle::new((0, 0), 6, color.filled())
                }))?;
            }
            chart.draw_series(LineSeries::new(stretch, color.stroke_width(4)))?;
        }
    }
    Ok(())
}

/// A label of an axis; dust of floats around zero is zero.
fn tick(value: f64, (low, high): (f64, f64)) -> String {
    if value.abs() < (high - low) * 1e-6 {
        "0".to_owned()
    } else {
        number(value)
    }
}

/// A range with some room around it, wide enough for an axis whose labels differ.
fn widen(low: f64, high: f64, room: f64) -> (f64, f64) {
    let least = (low.abs().max(high.abs()) * 1e-3).max(1e-12);
    let room = (high - low) * room;
    if high - low < least {
        (low - least, high + least)
    } else {
        (low - room, high + room)
    }
}

fn escape(text: &str) -> String {
    minijinja::HtmlEscape(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Number, Series};
    use crate::report::sample::series;

    fn draws(lines: &[(&str, &Series)]) -> Option<String> {
        let group = Group {
            lines: lines.to_vec(),
        };
        plot(&group, "title", "description").unwrap()
    }

    #[test]
    fn a_plot_has_axes_a_line_for_each_stretch_and_a_title() {
        let gap = series(60, |step| if step == 30.0 { f64::NAN } else { step });
        let svg = draws(&[("loss", &series(60, |step| -step)), ("val_loss", &gap)]).unwrap();
        let with = |color: &str| {
            svg.matches(&format!("stroke=\"{color}\" stroke-width=\"4\""))
                .count()
        };
        assert_eq!((with("#1D4ED8"), with("#C2410C")), (1, 2), "{svg}");
        assert!(svg.starts_with("<svg class=\"plot\" role=\"img\" viewBox=\"0 0 1120 600\""));
        assert!(svg.contains("<title>title</title>\n<desc>description</desc>"));
        assert!(svg.contains("step") && svg.trim_end().ends_with("</svg>"));
    }

    #[test]
    fn text_cannot_leave_the_drawing() {
        let hostile = "</title></svg><script>alert(1)</script>\"'&";
        let nothing = Series::default();
        let group = Group {
            lines: vec![(hostile, &nothing)],
        };
        assert_eq!(plot(&group, hostile, hostile).unwrap(), None);
        let values = series(2, |step| step);
        let group = Group {
            lines: vec![(hostile, &values)],
        };
        let svg = plot(&group, hostile, hostile).unwrap().unwrap();
        assert!(
            !svg.contains("<script") && svg.matches("</svg").count() == 1,
            "{svg}"
        );
    }

    #[test]
    fn values_at_the_edge_of_floats_are_drawn_in_no_time() {
        for values in [
            vec![1e300, 5.0, -1e300],
            vec![1e99, -1e99],
            vec![1e-300, 2e-300],
            vec![5e-324, 0.0],
            vec![1e16, 1e16 + 2.0],
            vec![7.0; 3],
            vec![-0.0],
            vec![0.1, f64::INFINITY, f64::NEG_INFINITY],
        ] {
            let series = Series {
                steps: Vec::new(),
                count: values.len() as u64,
                values: values.into_iter().map(Number::from).collect(),
            };
            let svg = draws(&[("x", &series)]).unwrap();
            assert!(svg.len() < 20_000, "{}", svg.len());
            assert!(!svg.contains("NaN"), "{svg}");
        }
        let nothing = series(3, |_| f64::NAN);
        assert_eq!(draws(&[("x", &nothing)]), None);
    }

    #[test]
    fn the_page_knows_every_colour() {
        let css = include_str!("page.css");
        for RGBColor(red, green, blue) in PALETTE.into_iter().chain([INK, GRID]) {
            let color = format!("\"#{red:02X}{green:02X}{blue:02X}\"");
            assert!(css.contains(&color), "{color}");
        }
    }
}
