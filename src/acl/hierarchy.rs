//! What contains what, and whether it ever contains itself.

/// The places of `contents` in an order in which each comes after all that it contains; places that
/// are not there are passed over.
///
/// # Errors
/// Some places of which each contains the next, and the last the first.
pub(super) fn order(contents: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut containers = vec![Vec::new(); contents.len()];
    let mut missing = vec![0_usize; contents.len()];
    for (place, contained) in contents.iter().enumerate() {
        for inner in contained {
            if let (Some(outer), Some(count)) = (containers.get_mut(*inner), missing.get_mut(place))
            {
                outer.push(place);
                *count += 1;
            }
        }
    }
    let is_ready = |place: &usize| missing.get(*place) == Some(&0);
    let mut order: Vec<usize> = (0..contents.len()).filter(is_ready).collect();
    let mut done = 0;
    while let Some(place) = order.get(done).copied() {
        done += 1;
        for outer in containers.get(place).into_iter().flatten() {
            let Some(count) = missing.get_mut(*outer) else { continue };
            *count -= 1;
            if *count == 0 {
                order.push(*outer);
            }
        }
    }
    match missing.iter().position(|count| *count > 0) {
        Some(start) => Err(circle(contents, &missing, start)),
        None => Ok(order),
    }
}

/// The circle that `start` leads to: whatever is missing something contains something that is.
fn circle(contents: &[Vec<usize>], missing: &[usize], start: usize) -> Vec<usize> {
    let mut path = vec![start];
    let mut seen = vec![None; contents.len()];
    let mut place = start;
    loop {
        if let Some(seen) = seen.get_mut(place) {
            *seen = Some(path.len() - 1);
        }
        let contained = contents.get(place).into_iter().flatten();
        let unfinished = |inner: &&usize| missing.get(**inner).is_some_and(|count| *count > 0);
        let Some(next) = contained.copied().find(|inner| unfinished(&inner)) else { return path };
        if let Some(Some(first)) = seen.get(next) {
            return path.split_off(*first);
        }
        path.push(next);
        place = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comes_after_all_that_it_contains() {
        let contents = [vec![2, 1], vec![3], vec![3], vec![]];
        assert_eq!(order(&contents), Ok(vec![3, 1, 2, 0]));
        assert_eq!(order(&[]), Ok(vec![]));
        assert_eq!(order(&[vec![7, 7]]), Ok(vec![0]));
    }

    #[test]
    fn a_circle_is_told_without_what_leads_to_it() {
        assert_eq!(order(&[vec![0]]), Err(vec![0]));
        assert_eq!(order(&[vec![1], vec![2], vec![3], vec![1]]), Err(vec![1, 2, 3]));
        let chain: Vec<Vec<usize>> = (1..=100_000).map(|next| vec![next % 100_000]).collect();
        assert_eq!(order(&chain).map_err(|circle| circle.len()), Err(100_000));
    }
}
