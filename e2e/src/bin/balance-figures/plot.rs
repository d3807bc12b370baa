//! The busiest pod against the mean over time, measured and simulated, as SVG.

use anyhow::{Context as _, Result};
use plotters::coord::Shift;
use plotters::prelude::{
    BLACK, ChartBuilder, Color as _, DashedLineSeries, DrawingArea, IntoDrawingArea as _, IntoFont as _, LineSeries,
    PathElement, RGBColor, SVGBackend, WHITE,
};

use crate::course::LEVEL;

const SIZE: (u32, u32) = (1100, 420);

/// Colours that colour-blind people can distinguish (Okabe and Ito). The first is for the mode without retirement.
const COLOURS: [RGBColor; 4] =
    [RGBColor(150, 150, 150), RGBColor(230, 159, 0), RGBColor(86, 180, 233), RGBColor(0, 114, 178)];

/// A picture beside others.
pub(crate) struct Panel<'a> {
    pub(crate) title: String,
    pub(crate) lines: Vec<Line<'a>>,
}

/// A measured course, and the simulated one, which is drawn dashed.
pub(crate) struct Line<'a> {
    pub(crate) label: &'a str,
    pub(crate) measured: &'a [f64],
    pub(crate) simulated: &'a [f64],
}

/// Returns the panels, side by side.
pub(crate) fn svg(panels: &[Panel<'_>]) -> Result<String> {
    let mut picture = String::new();
    draw(&mut picture, panels).context("the plot could not be drawn")?;
    Ok(picture)
}

fn draw(picture: &mut String, panels: &[Panel<'_>]) -> Result<()> {
    let area = SVGBackend::with_string(picture, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    for (area, panel) in area.split_evenly((1, panels.len())).iter().zip(panels) {
        draw_panel(area, panel)?;
    }
    area.present()?;
    Ok(())
}

fn draw_panel(area: &DrawingArea<SVGBackend<'_>, Shift>, panel: &Panel<'_>) -> Result<()> {
    let courses = || panel.lines.iter().map(|line| line.measured);
    let longest = courses().map(<[f64]>::len).max().unwrap_or_default();
    let longest = f64::from(u32::try_from(longest)?);
    let highest = courses().flatten().copied().fold(1.5, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.title, ("sans-serif", 17).into_font())
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..longest, 1.0..highest)?;
    let mesh = &mut chart.configure_mesh();
    mesh.x_desc("seconds since the last readiness").y_desc("busiest pod / mean pod").light_line_style(WHITE).draw()?;
    chart.draw_series(LineSeries::new([(0.0, LEVEL), (longest, LEVEL)], RGBColor(200, 200, 200)))?;
    for (line, colour) in panel.lines.iter().zip(COLOURS.iter().cycle()) {
        let points = |course: &[f64]| (0u32..).map(f64::from).zip(course.to_vec());
        let within = move |(second, _): &(f64, f64)| *second <= longest;
        chart.draw_series(DashedLineSeries::new(points(line.simulated).filter(within), 3, 4, colour.into()))?;
        chart
            .draw_series(LineSeries::new(points(line.measured), colour))?
            .label(line.label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.7)).border_style(BLACK).draw()?;
    Ok(())
}
